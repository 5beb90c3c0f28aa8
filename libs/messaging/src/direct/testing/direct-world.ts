import type { DecisionMessage, ProtocolMessage, VoteMessage } from '@concordat/commit-protocol';
import { SeededRandom, silentLogger, VirtualClock, type Logger } from '@concordat/foundation';
import type { OutgoingMessage } from '../../bus.js';
import { decideTopic, REPLIES_TOPIC } from '../../contract/topics.js';
import { MemoryStreams } from '../../testing/memory-streams.js';
import { DirectCoordinatorBus } from '../coordinator-end.js';
import type { DirectBusOptions } from '../direct-bus.js';
import { encodeFrame, type Frame } from '../frames.js';
import { type CoordinatorStatus } from '../handshake.js';
import type { StreamIdentity } from '../tls.js';
import { DirectParticipantBus } from '../participant-end.js';

export const CLUSTER = 'test';

export function idOf(number: number): string {
  return `018f2d3c-1111-7abc-8def-${String(number).padStart(12, '0')}`;
}

export function decision(participant: string, transaction: number, attempt = 0): OutgoingMessage {
  const id = idOf(transaction);
  const message: DecisionMessage = {
    type: 'decision',
    transactionId: id,
    branchId: id,
    participant,
    decision: 'commit',
    attempt,
  };
  return { topic: decideTopic(participant), message };
}

export function vote(participant: string, transaction: number): OutgoingMessage {
  const id = idOf(transaction);
  const message: VoteMessage = { type: 'vote', transactionId: id, branchId: id, participant, vote: 'yes', results: [] };
  return { topic: REPLIES_TOPIC, message };
}

export const transactionOf = (message: ProtocolMessage): number =>
  'transactionId' in message ? Number(message.transactionId.slice(-12)) : -1;

/** Coordinators 1 to 3 and processes of participants, on one network and one clock. */
export class World {
  readonly clock = new VirtualClock();
  readonly streams = new MemoryStreams(this.clock, new SeededRandom(1));
  readonly complaints: string[] = [];
  readonly coordinators = new Map<number, DirectCoordinatorBus>();
  /** the node at each URL */
  readonly nodes = new Map<string, number>();
  /** what arrived where, as transactions */
  readonly arrived = new Map<string, number[]>();
  /** what the certificates of those say who connect from now on; undefined: plain text */
  identity: StreamIdentity | undefined;
  /** while true, no turn of the event loop ends */
  isTurnHeld = false;

  private readonly logger: Logger = { ...silentLogger, warn: (text) => void this.complaints.push(text) };

  options(options: Partial<DirectBusOptions> = {}): DirectBusOptions {
    const { clock, logger } = this;
    const defer = (action: () => void): void => void (this.isTurnHeld || queueMicrotask(action));
    return { cluster: CLUSTER, clock, logger, defer, ...options };
  }

  async coordinator(nodeId: number, status: Partial<CoordinatorStatus> = {}): Promise<DirectCoordinatorBus> {
    const told = { leads: false, term: 1, members: [], ...status };
    const bus = new DirectCoordinatorBus({ ...this.options(), nodeId, status: told });
    this.coordinators.set(nodeId, bus);
    this.nodes.set(urlOf(nodeId), nodeId);
    this.streams.listen(urlOf(nodeId), (attach) => bus.accept(attach, this.identity));
    await bus.start();
    await this.collect(bus, `coordinator-${nodeId}`, REPLIES_TOPIC);
    return bus;
  }

  async participant(
    participant: string,
    instance: string,
    coordinators: readonly number[] = [1],
    options: Partial<DirectBusOptions> = {},
    starts = true,
  ): Promise<DirectParticipantBus> {
    const bus = new DirectParticipantBus({
      ...this.options(options),
      participant,
      instance,
      coordinators: coordinators.map(urlOf),
      // as over TCP: it is known first which node it is
      dial: async (url, isConnected) => (isConnected(this.nodes.get(url) ?? 0) ? undefined : this.streams.dial(url)),
      random: new SeededRandom(2),
    });
    await this.collect(bus, instance, decideTopic(participant));
    if (starts) await bus.start();
    await this.run(100);
    return bus;
  }

  async collect(
    bus: DirectCoordinatorBus | DirectParticipantBus,
    name: string,
    topic: OutgoingMessage['topic'],
  ): Promise<void> {
    const seen: number[] = [];
    this.arrived.set(name, seen);
    const onMessage = (message: ProtocolMessage): void => void seen.push(transactionOf(message));
    await bus.subscribe({ group: 'any', topics: [topic], onMessage });
  }

  async run(durationMs: number): Promise<void> {
    for (let passed = 0; passed < durationMs; passed += 10) {
      this.clock.advance(10);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    }
  }

  /** Bytes of a stranger, and what it is answered. */
  async say(nodeId: number, frames: readonly Frame[], waitMs = 50): Promise<{ answer: string; isClosed: boolean }> {
    const result = { answer: '', isClosed: false };
    const attach = await this.dial(nodeId);
    const socket = attach({
      onBytes: (chunk) => void (result.answer += chunk.toString('latin1')),
      onDrained: () => undefined,
      onClosed: () => void (result.isClosed = true),
    });
    for (const frame of frames) socket.write(encodeFrame(frame));
    await this.run(waitMs);
    return result;
  }

  private async dial(nodeId: number): Promise<Awaited<ReturnType<MemoryStreams['dial']>>> {
    const dialled = this.streams.dial(urlOf(nodeId));
    await this.run(20);
    return dialled;
  }
}

export function urlOf(nodeId: number): string {
  return `http://coordinator-${nodeId}`;
}
