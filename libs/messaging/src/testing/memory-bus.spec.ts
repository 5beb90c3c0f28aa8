import { describe, expect, it } from '@jest/globals';
import type { DecisionMessage } from '@concordat/commit-protocol';
import { randomInteger, SeededRandom, VirtualClock } from '@concordat/foundation';
import { MemoryBroker, type MemoryFaults, NO_FAULTS } from './memory-broker.js';
import { MemoryMessageBus } from './memory-bus.js';
import { MessageBusError, MessageEncodeError, UnsendableMessagesError } from '../contract/errors.js';
import { Namespace } from '../contract/namespace.js';
import { decideTopic } from '../contract/topics.js';
import { UnsendableReport } from '../contract/unsendable-report.js';

const topic = decideTopic('bank-a');

function decision(key: number, number: number): DecisionMessage {
  const id = `018f2d3c-1111-7abc-8def-${String(key).padStart(12, '0')}`;
  return {
    type: 'decision',
    transactionId: id,
    branchId: id,
    participant: 'bank-a',
    decision: 'commit',
    attempt: number,
  };
}

function createWorld(seed: number, faults: Partial<MemoryFaults> = {}) {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock, random: new SeededRandom(seed), faults, partitions: 8 });
  /** moves time on, a little at a time, letting promises settle in between */
  const run = async (durationMs: number): Promise<void> => {
    for (let passed = 0; passed < durationMs; passed += 10) {
      clock.advance(10);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    }
  };
  return { clock, broker, run };
}

/** Publishes under faults and crashes and gives what the reader saw, in order. */
async function simulate(seed: number): Promise<string[]> {
  const { broker, run } = createWorld(seed, {
    minimumDelayMs: 0,
    maximumDelayMs: 40,
    duplicationProbability: 0.1,
    lostAcknowledgementProbability: 0.05,
  });
  const random = new SeededRandom(seed + 1);
  const seen: string[] = [];
  const publisher = new MemoryMessageBus(broker, { cluster: 'test' });
  await publisher.start();
  const join = async (): Promise<MemoryMessageBus> => {
    const bus = new MemoryMessageBus(broker, { cluster: 'test' });
    await bus.start();
    await bus.subscribe({
      group: 'bank-a',
      topics: [topic],
      onMessage: (message) =>
        void (message.type === 'decision' && seen.push(`${message.transactionId}#${message.attempt}`)),
    });
    return bus;
  };
  let reader = await join();
  for (let number = 0; number < 200; number++) {
    void publisher.publish([{ topic, message: decision(number % 5, number) }]);
    if (randomInteger(random, 0, 9) === 0) await run(50);
    if (randomInteger(random, 0, 39) === 0) {
      reader.crash();
      reader = await join();
    }
    if (randomInteger(random, 0, 49) === 0) {
      broker.takeDown();
      await run(300);
      broker.bringUp();
    }
  }
  broker.setFaults(NO_FAULTS);
  await run(5_000);
  return seen;
}

describe('messages that cannot be sent', () => {
  it('lose no others of the same publication, and are told by name', async () => {
    const { broker, run } = createWorld(1);
    const bus = new MemoryMessageBus(broker, { cluster: 'local' });
    await bus.start();
    const seen: number[] = [];
    await bus.subscribe({
      group: 'bank-a',
      topics: [topic],
      onMessage: (message) => void (message.type === 'decision' && seen.push(message.attempt)),
    });
    const [bad, worse] = [decision(2, -1), { ...decision(3, 0), branchId: 10n as never }];
    const published = bus.publish([decision(1, 1), bad, worse, decision(4, 2)].map((message) => ({ topic, message })));
    const failed = expect(published).rejects.toMatchObject({
      code: 'MESSAGES_UNSENDABLE',
      refused: [
        { topic, message: bad, error: { reason: 'INVALID_FIELD', path: 'attempt' } },
        { topic, message: worse, error: { reason: 'INVALID_FIELD', path: 'branchId' } },
      ],
    });
    await run(100);
    await failed;
    expect(seen).toEqual([1, 2]);
  });

  it('are reported now and then, with their number and what to do', () => {
    const clock = new VirtualClock();
    const told: string[] = [];
    const report = new UnsendableReport(clock, (sentence) => void told.push(sentence));
    const encode = new MessageEncodeError('INVALID_FIELD', 'vote: results: is wrong', 'results');
    const error = new UnsendableMessagesError([{ topic, message: decision(1, 0), error: encode }]);
    expect(report.take(new MessageBusError('BUS_BUFFER_FULL', 'full'))).toBe(false);
    for (let n = 0; n < 3; n++) expect(report.take(error)).toBe(true);
    clock.advance(10_000);
    expect(report.take(new MessageBusError('BUS_MESSAGE_REFUSED', 'the broker refuses a message'))).toBe(true);
    expect(report.count).toBe(4);
    expect(told).toEqual([
      expect.stringMatching(/^UNSENDABLE 1 messages .*vote: results: is wrong.*report this as a fault/),
      expect.stringMatching(/^UNSENDABLE 3 messages .*max\.message\.bytes/),
    ]);
  });
});

describe('the memory bus under faults', () => {
  it('loses nothing under delays, duplicates, lost acknowledgements, crashes and a broker that goes down', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const seen = await simulate(seed);
      expect(new Set(seen).size).toBe(200);
      expect(seen.length).toBeGreaterThan(200);
    }
  });

  it('gives the same run for the same seed, and another for another', async () => {
    const first = await simulate(3);
    expect(await simulate(3)).toEqual(first);
    expect(await simulate(4)).not.toEqual(first);
  });

  it('reorders messages of different keys, never those of one', async () => {
    const { broker, run } = createWorld(5, { maximumDelayMs: 50 });
    const bus = new MemoryMessageBus(broker, { cluster: 'test' });
    await bus.start();
    const seen: { key: string; number: number }[] = [];
    await bus.subscribe({
      group: 'g',
      topics: [topic],
      onMessage: (message) => {
        if (message.type === 'decision') seen.push({ key: message.transactionId, number: message.attempt });
      },
    });
    void bus.publish(Array.from({ length: 100 }, (_, number) => ({ topic, message: decision(number % 6, number) })));
    await run(10_000);
    const numbers = seen.map(({ number }) => number);
    expect(numbers).toHaveLength(100);
    expect(numbers).not.toEqual(numbers.toSorted((a, b) => a - b));
    for (const { key } of seen) {
      const ofKey = seen.filter((one) => one.key === key).map(({ number }) => number);
      expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
    }
  });

  it('loses messages only when it is told to', async () => {
    const { broker, run } = createWorld(6, { lossProbability: 0.5 });
    const bus = new MemoryMessageBus(broker, { cluster: 'test' });
    await bus.start();
    await bus.ensureTopics([topic]);
    void bus.publish(Array.from({ length: 100 }, (_, number) => ({ topic, message: decision(1, number) })));
    await run(1_000);
    const stored = broker.recordsOf(new Namespace({ cluster: 'test' }).topic(topic)).length;
    expect(stored).toBeGreaterThan(20);
    expect(stored).toBeLessThan(80);
  });

  it('has members whose sessions have expired read again what they had not committed', async () => {
    const { broker, run } = createWorld(8);
    const bus = new MemoryMessageBus(broker, { cluster: 'test' });
    await bus.start();
    const seen: number[] = [];
    await bus.subscribe({
      group: 'bank-a',
      topics: [topic],
      onMessage: (message) => void (message.type === 'decision' && seen.push(message.attempt)),
    });
    void bus.publish([{ topic, message: decision(1, 0) }]);
    await run(2_000); // committed
    void bus.publish([{ topic, message: decision(1, 1) }]);
    await run(100); // handled, and not committed yet
    broker.expireSessions();
    await run(2_000);
    broker.expireSessions();
    await run(2_000);
    expect(seen).toEqual([0, 1, 1]);
  });

  it('brings what a crashed member had not committed to its successor', async () => {
    const { broker, run } = createWorld(7);
    const before = new MemoryMessageBus(broker, { cluster: 'test' });
    await before.start();
    const seen: number[] = [];
    const options = {
      group: 'g',
      topics: [topic],
      onMessage: (message: { type: string; attempt?: number }) => void seen.push(message.attempt ?? -1),
    };
    await before.subscribe(options);
    void before.publish([{ topic, message: decision(1, 0) }]);
    await run(1_500); // committed meanwhile
    void before.publish([{ topic, message: decision(1, 1) }]);
    await run(50);
    expect(seen).toEqual([0, 1]);
    before.crash();
    const after = new MemoryMessageBus(broker, { cluster: 'test' });
    await after.start();
    await after.subscribe(options);
    await run(50);
    expect(seen).toEqual([0, 1, 1]);
    await expect(before.publish([{ topic, message: decision(1, 2) }])).rejects.toMatchObject({ code: 'BUS_STOPPED' });
  });
});
