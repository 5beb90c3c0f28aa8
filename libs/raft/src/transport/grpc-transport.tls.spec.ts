import { readFileSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';
import { Client, credentials, logVerbosity, setLogVerbosity, status, type ServiceError } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import type { Message, NodeId } from '../core/types.js';
import { exchangeMethod, identityMetadata } from './exchange-service.js';
import { GrpcTransport } from './grpc-transport.js';
import type { TransportTls } from './grpc-transport.types.js';

setLogVerbosity(logVerbosity.NONE); // gRPC itself writes of failed handshakes to the console

const running: { stop(): Promise<void> }[] = [];
const timeoutMs = 10_000;

function pem(name: string): Buffer {
  return readFileSync(`${import.meta.dirname}/testing/certificates/${name}.pem`);
}

function identity(name: 'node' | 'stranger', authority: 'authority' | 'strange-authority'): TransportTls {
  return { ca: pem(authority), cert: pem(name), key: pem(`${name}.key`) };
}

/** Every node of a group may have a certificate of its own; that these share one makes no difference here. */
const member = identity('node', 'authority');

/** Waits for the event loop to bring about a condition. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in vain waited until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Node {
  readonly transport: GrpcTransport;
  readonly received: Message[];
}

async function startNode(nodeId: NodeId, tls: TransportTls | undefined, peerPort = 1): Promise<Node> {
  const received: Message[] = [];
  const transport = new GrpcTransport({
    nodeId,
    clusterName: 'test',
    listenAddress: '127.0.0.1:0',
    peers: new Map([[3 - nodeId, `127.0.0.1:${peerPort}`]]),
    logger: silentLogger,
    ...(tls && { tls }),
  });
  running.push(transport);
  await transport.start((message) => void received.push(message));
  return { transport, received };
}

const vote: Message = { type: 'request-vote', from: 2, to: 1, term: 1, lastLogIndex: 0, lastLogTerm: 0 };

/** A call as a node would make it; ends with the status that the caller sees. */
function call(port: number, channel: ReturnType<typeof credentials.createSsl>): Promise<ServiceError | null> {
  const client = new Client(`127.0.0.1:${port}`, channel);
  running.push({ stop: () => Promise.resolve(client.close()) });
  const { path, requestSerialize, responseDeserialize } = exchangeMethod;
  return new Promise((resolve) => {
    const deadline = Date.now() + timeoutMs;
    const metadata = identityMetadata({ clusterName: 'test', from: 2, to: 1 });
    client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, metadata, { deadline }, resolve).end();
  });
}

/** Connects, and tells how the server ended it (TLS 1.3 refuses a client after its handshake); undefined if it talks. */
function handshake(port: number, tls: { ca: Buffer; cert?: Buffer; key?: Buffer }): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, ALPNProtocols: ['h2'], ...tls });
    socket.once('error', resolve);
    socket.once('close', () => resolve(new Error('closed without a word')));
    socket.once('data', () => {
      resolve(undefined); // the settings of HTTP/2
      socket.destroy();
    });
    running.push({ stop: () => Promise.resolve(void socket.destroy()) });
  });
}

afterEach(async () => {
  for (const resource of running.splice(0)) await resource.stop();
});

describe('GrpcTransport with mutual TLS', () => {
  it('delivers between nodes whose certificates the authority signed', async () => {
    const first = await startNode(1, member);
    const second = await startNode(2, member, first.transport.port);
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    second.transport.send([vote]);
    await until(() => first.received.length > 0, 'the message arrives');
    expect(first.received).toEqual([vote]);
    expect(await handshake(first.transport.port, member)).toBeUndefined();
  });

  it('refuses a client without a certificate', async () => {
    const { transport, received } = await startNode(1, member);
    expect(await handshake(transport.port, { ca: member.ca })).toMatchObject({
      code: expect.stringContaining('CERTIFICATE_REQUIRED'),
    });
    const answer = await call(transport.port, credentials.createSsl(member.ca));
    expect(answer?.code).toBe(status.UNAVAILABLE);
    expect(received).toEqual([]);
  });

  it('refuses a client with a certificate of another authority', async () => {
    const { transport, received } = await startNode(1, member);
    const { cert, key } = identity('stranger', 'strange-authority');
    expect(await handshake(transport.port, { ca: member.ca, cert, key })).toBeInstanceOf(Error);
    const answer = await call(transport.port, credentials.createSsl(member.ca, key, cert));
    expect(answer?.code).toBe(status.UNAVAILABLE);
    expect(received).toEqual([]);
  });

  it('refuses a client in plain text', async () => {
    const { transport, received } = await startNode(1, member);
    const answer = await call(transport.port, credentials.createInsecure());
    expect(answer?.code).toBe(status.UNAVAILABLE);
    expect(received).toEqual([]);
  });

  it('sends nothing to a server with a certificate of another authority', async () => {
    // it would take everybody whom our authority signed
    const stranger = await startNode(1, { ...identity('stranger', 'strange-authority'), ca: member.ca });
    const { transport } = await startNode(2, member, stranger.transport.port);
    const { cert, key } = member;
    const answer = await call(stranger.transport.port, credentials.createSsl(member.ca, key, cert));
    expect(answer?.code).toBe(status.UNAVAILABLE);
    transport.send([vote]);
    expect(transport.isConnected(1)).toBe(false);
    expect(stranger.received).toEqual([]);
  });
});
