import {
  Client,
  credentials,
  logVerbosity,
  setLogVerbosity,
  type ChannelCredentials,
  type ClientDuplexStream,
  type Metadata,
  type StatusObject,
} from '@grpc/grpc-js';
import { silentLogger } from '@concordat/foundation';
import type { Message, NodeId } from '../../core/types.js';
import type { NodeIdentity } from '../../driver/ports.js';
import { clientOptions } from '../channel-options.js';
import { exchangeMethod } from '../exchange-service.js';
import { GrpcTransport } from '../grpc-transport.js';
import { between } from '../../core/testing/members.js';
import type { GrpcTransportOptions } from '../grpc-transport.types.js';

setLogVerbosity(logVerbosity.NONE); // gRPC itself writes of failed connections to the console

/** Of this process's own computing, so that it is the same patience on a busy machine. */
const timeoutMs = 10_000;

/** Waits for the event loop to bring about a condition. It computes all the while. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = computedMs() + timeoutMs;
  while (!condition()) {
    if (computedMs() > deadline) throw new Error(`in vain waited until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function computedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Shows that another node gets in and is heard; what it says is repeated, as Raft does. */
export async function expectToHear(
  harness: TransportHarness,
  node: TestNode,
  options: Partial<GrpcTransportOptions> = {},
): Promise<void> {
  const sender = await harness.start(9, { ...options, seeds: new Map([[1, node.address]]) });
  await until(() => {
    if (sender.transport.isConnected(1)) sender.transport.send([vote(9, 1, 4711)]);
    return node.received.some(({ term }) => term === 4711);
  }, 'another node is heard');
}

/** A started transport with what it received and complained of. */
export interface TestNode {
  readonly transport: GrpcTransport;
  readonly received: Message[];
  readonly warnings: string[];
  /** nodes of other groups, each time that one was met */
  readonly strangers: NodeId[];
  /** who has told it that it is a second process of its directory */
  readonly witnesses: NodeId[];
  /** where it listens */
  readonly address: string;
}

/** Starts transports on the loopback and ends all that was started. */
export class TransportHarness {
  private readonly running: (() => void | Promise<void>)[] = [];

  /** @param identity as its storage says when it starts; in tests each node has an incarnation of its own */
  async start(
    nodeId: NodeId,
    options: Partial<GrpcTransportOptions> = {},
    identity: Partial<NodeIdentity> = {},
  ): Promise<TestNode> {
    const received: Message[] = [];
    const warnings: string[] = [];
    const strangers: NodeId[] = [];
    const witnesses: NodeId[] = [];
    const transport = new GrpcTransport({
      nodeId,
      clusterName: 'test',
      listenAddress: '127.0.0.1:0',
      logger: { ...silentLogger, warn: (text) => void warnings.push(text) },
      ...options,
    });
    this.onEnd(() => transport.stop());
    transport.setIdentity({ incarnation: nodeId, groupId: 0, ...identity });
    await transport.start((message) => void received.push(message), {
      onStranger: (stranger) => void strangers.push(stranger),
      onSecondProcess: (witness) => void witnesses.push(witness),
    });
    return { transport, received, warnings, strangers, witnesses, address: `127.0.0.1:${transport.port}` };
  }

  /** Node 1 (the receiver) and node 2, which knows where node 1 listens and is connected. */
  async startPair(): Promise<{ first: TestNode; second: TestNode }> {
    const first = await this.start(1);
    const second = await this.start(2, { seeds: new Map([[1, first.address]]) });
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    return { first, second };
  }

  /** A stream by hand, as a faulty or foreign node would open it; ends with the status the server gives. */
  call(
    target: string,
    metadata: Metadata,
    frames: readonly Buffer[],
    channel?: ChannelCredentials,
    onAccepted: () => void = () => undefined,
  ): Promise<StatusObject> {
    return this.speak(this.client(target, channel), metadata, frames, (call) => call.on('metadata', onAccepted));
  }

  /** As `call`, on a connection that others use, too; the caller says no more. */
  callOnce(client: Client, metadata: Metadata, frames: readonly Buffer[]): Promise<StatusObject> {
    return this.speak(client, metadata, frames, (call) => call.end());
  }

  client(target: string, channel: ChannelCredentials = credentials.createInsecure()): Client {
    const client = new Client(target, channel, clientOptions(1024 * 1024, target, 1));
    this.onEnd(() => client.close());
    return client;
  }

  onEnd(end: () => void | Promise<void>): void {
    this.running.push(end);
  }

  private speak(
    client: Client,
    metadata: Metadata,
    frames: readonly Buffer[],
    then: (call: ClientDuplexStream<Buffer, Buffer>) => void,
  ): Promise<StatusObject> {
    return new Promise((resolve) => {
      const { path, requestSerialize, responseDeserialize } = exchangeMethod;
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
      call.on('error', () => undefined);
      call.on('status', resolve);
      call.resume();
      for (const frame of frames) call.write(frame);
      then(call);
    });
  }

  async end(): Promise<void> {
    for (const end of this.running.splice(0)) await end();
  }
}

/** A small message; its term tells it from others. */
export function vote(from: NodeId, to: NodeId, term: number): Message {
  return { type: 'request-vote', ...between(from, to), term, lastLogIndex: 0, lastLogTerm: 0, transfer: false };
}

/** A message with so many bytes of data. */
export function append(from: NodeId, to: NodeId, term: number, dataBytes: number): Message {
  return {
    type: 'append-entries',
    ...between(from, to),
    term,
    previousIndex: 0,
    previousTerm: 0,
    entries: [{ index: 1, term: 1, kind: 'normal', data: Buffer.alloc(dataBytes, term) }],
    commitIndex: 0,
    round: 0,
  };
}

export function termsOf(node: TestNode): number[] {
  return node.received.map((message) => message.term);
}
