import { afterEach, describe, expect, it } from '@jest/globals';
import { InvariantError } from '@concordat/foundation';
import { GrpcTransport } from './grpc-transport.js';
import { append, termsOf, TransportHarness, until, vote } from './testing/transport-harness.js';

const harness = new TransportHarness();

const network = (): string[] =>
  process.getActiveResourcesInfo().filter((name) => /^(TCP|Timeout$|Immediate$)/.test(name));
const sockets = (): string[] => network().filter((name) => name.startsWith('TCP'));
/** Test files that ran in this process before may have left some, which are not of this file. */
const socketsBefore = sockets().length;

afterEach(() => harness.end());

describe('GrpcTransport', () => {
  it('delivers to each peer in order, a turn’s messages together', async () => {
    const { first, second } = await harness.startPair();
    for (let term = 1; term <= 2000; term += 2) {
      second.transport.send([vote(2, 1, term), append(2, 1, term + 1, 100)]);
      if (term % 7 === 0) await Promise.resolve();
    }
    await until(() => first.received.length === 2000, 'everything has arrived');
    expect(termsOf(first)).toEqual(Array.from({ length: 2000 }, (_, at) => at + 1));
    expect(second.transport.counters).toMatchObject({ sentMessages: 2000, droppedMessages: 0 });
    expect(second.transport.bufferedBytes(1)).toBeLessThan(1024 * 1024);
  });

  it('counts appends with entries, and those without, which only keep a leader', async () => {
    const { first, second } = await harness.startPair();
    const empty = { ...append(2, 1, 3, 0), entries: [] };
    second.transport.send([vote(2, 1, 1), append(2, 1, 2, 10), empty, empty]);
    await until(() => first.received.length === 4, 'everything has arrived');
    expect(second.transport.counters).toMatchObject({ sentMessages: 4, sentAppends: 1, sentEmptyAppends: 2 });
  });

  it('carries a large message, and what follows behind it', async () => {
    const { first, second } = await harness.startPair();
    second.transport.send([append(2, 1, 7, 60 * 1024 * 1024), vote(2, 1, 8)]);
    await until(() => first.received.length === 2, 'both have arrived');
    const [message, next] = first.received;
    expect(message?.type === 'append-entries' && message.entries[0]?.data).toHaveLength(60 * 1024 * 1024);
    expect(next?.type).toBe('request-vote');
    await until(() => second.transport.bufferedBytes(1) === 0, 'nothing is left in the buffer');
  });

  it('finds a peer that was restarted', async () => {
    const { first, second } = await harness.startPair();
    await first.transport.stop();
    await until(() => !second.transport.isConnected(1), 'node 2 notices');
    second.transport.send([vote(2, 1, 1)]);
    expect(second.transport.counters.droppedMessages).toBe(1);
    expect(second.transport.bufferedBytes(1)).toBe(0);

    const again = await harness.start(1, { listenAddress: first.address });
    await until(() => second.transport.isConnected(1), 'node 2 is connected again');
    second.transport.send([vote(2, 1, 2)]);
    await until(() => again.received.length > 0, 'the message has arrived');
    expect(termsOf(again)).toEqual([2]);
    expect(second.transport.peerMetrics(1)?.reconnects).toBe(1);
  });

  it('says so when its address is taken, or none', async () => {
    const first = await harness.start(1);
    for (const listenAddress of [first.address, 'nowhere', '127.0.0.1:99999'])
      await expect(harness.start(2, { listenAddress })).rejects.toMatchObject({ code: 'RAFT_TRANSPORT_BIND_FAILED' });
  });

  it('drops messages to unknown nodes and those above the limits', async () => {
    const first = await harness.start(1);
    const second = await harness.start(2, { seeds: new Map([[1, first.address]]), maximumMessageBytes: 4_000_000 });
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    const many = Array.from({ length: 65_537 }, (_, at) => ({
      index: at + 1,
      term: 1,
      kind: 'normal' as const,
      data: new Uint8Array(0),
    }));
    second.transport.send([
      vote(2, 9, 1),
      append(2, 1, 2, 4_000_000),
      {
        ...append(2, 1, 3, 0),
        type: 'append-entries',
        previousIndex: 0,
        previousTerm: 0,
        commitIndex: 0,
        round: 0,
        entries: many,
      },
      vote(2, 1, 4),
    ]);
    await until(() => first.received.length > 0, 'the message has arrived');
    expect(termsOf(first)).toEqual([4]);
    expect(second.transport.counters.droppedMessages).toBe(3);
  });

  it('is given options that make sense', () => {
    const options = { nodeId: 1, clusterName: 'test', listenAddress: '127.0.0.1:0' };
    expect(() => new GrpcTransport({ ...options, nodeId: 0 })).toThrow(InvariantError);
    expect(() => new GrpcTransport({ ...options, seeds: new Map([[1.5, '']]) })).toThrow(InvariantError);
    expect(() => new GrpcTransport({ ...options, advertisedAddress: 'here' })).toThrow(InvariantError);
    expect(() => new GrpcTransport({ ...options, maximumBufferedBytes: 1000 })).toThrow(InvariantError);
  });
});

describe('GrpcTransport at the end', () => {
  it('lets the last word out', async () => {
    const { first, second } = await harness.startPair();
    second.transport.send([append(2, 1, 1, 1_000_000), vote(2, 1, 2)]);
    await second.transport.stop();
    await until(() => first.received.length === 2, 'both messages have arrived');
  });

  it('leaves nothing open', async () => {
    await until(() => sockets().length <= socketsBefore, 'earlier tests have let go');
    const before = network().length;
    const { first, second } = await harness.startPair();
    first.transport.send([vote(1, 2, 1)]);
    expect(network().length).toBeGreaterThan(before);
    await first.transport.stop();
    await second.transport.stop();
    await second.transport.stop();
    await until(() => network().length <= before, 'sockets and timers are gone');
    second.transport.send([vote(2, 1, 1)]);
    second.transport.setPeers(new Map([[1, first.address]]));
    expect(second.transport.isConnected(1)).toBe(false);
  });
});
