import { describe, expect, it } from '@jest/globals';
import { SeededRandom, silentLogger, VirtualClock } from '@concordat/foundation';
import type { BrokerSubscription } from '../bus.js';
import { encodeMessage } from '../contract/codec.js';
import { MessageIntake } from '../contract/intake.js';
import {
  type ConsumerEvents,
  type GroupConsumer,
  KafkaSubscription,
  type TopicPartitionOffset,
} from './kafka-subscription.js';
import { Namespace } from '../contract/namespace.js';
import { MAXIMUM_SPAN } from './offset-tracker.js';

const topic = 'concordat.test.decide.bank-a';
const id = '018f2d3c-1111-7abc-8def-0123456789ab';

/** A consumer whose broker is the test. */
class FakeConsumer implements GroupConsumer {
  readonly commits: TopicPartitionOffset[][] = [];
  readonly seeks: number[] = [];
  resolved: string | undefined;
  heartbeats = 0;
  end = 40;
  disconnected = false;

  constructor(
    readonly group: string,
    readonly events: ConsumerEvents,
    private readonly answersConnect: boolean,
    /** of a place in the group */
    private readonly refusal: () => Error | undefined,
  ) {}

  connect(): Promise<void> {
    return this.answersConnect ? Promise.resolve() : Promise.reject(new Error('no broker'));
  }
  async evictPredecessor(): Promise<void> {}
  async endOffsets(): Promise<TopicPartitionOffset[]> {
    return [{ topic, partition: 0, offset: this.end }];
  }
  async run(): Promise<void> {
    const refusal = this.refusal();
    if (refusal) throw refusal;
    this.events.onJoined([{ topic, partition: 0 }]);
  }
  pause(): void {}
  seek({ offset }: TopicPartitionOffset): void {
    this.seeks.push(offset);
  }
  async commit(positions: readonly TopicPartitionOffset[]): Promise<void> {
    this.commits.push([...positions]);
  }
  async disconnect(): Promise<void> {
    this.disconnected = true;
  }

  deliver(...offsets: number[]): Promise<void> {
    return this.events.onBatch({
      topic,
      partition: 0,
      messages: offsets.map((offset) => ({
        offset: String(offset),
        key: null,
        value: encodeMessage('test', {
          type: 'decision',
          transactionId: id,
          branchId: id,
          participant: 'bank-a',
          decision: 'commit',
          attempt: offset,
        }),
      })),
      heartbeat: async () => void this.heartbeats++,
      isWanted: () => true,
      resolve: (offset) => (this.resolved = offset),
    });
  }
}

/** Lets everything happen that waits for nothing but promises. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

function createSubscription(options: Partial<BrokerSubscription> = {}) {
  const clock = new VirtualClock();
  const consumers: FakeConsumer[] = [];
  const broker: { isUp: boolean; refusal: Error | undefined } = { isUp: true, refusal: undefined };
  const seen: number[] = [];
  const subscription = new KafkaSubscription(
    {
      createConsumer: (group, _topics, events) => {
        const consumer = new FakeConsumer(group, events, broker.isUp, () => broker.refusal);
        consumers.push(consumer);
        return consumer;
      },
      intake: new MessageIntake(new Namespace({ cluster: 'test' }), () => undefined, silentLogger),
      uniqueGroup: (group) => `${group}.unique`,
      onEnded: () => undefined,
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      commitIntervalMs: 1_000,
      stallTimeoutMs: 15_000,
    },
    {
      group: 'bank-a',
      topics: [topic],
      onMessage: (message) => void (message.type === 'decision' && seen.push(message.attempt)),
      ...options,
    },
  );
  const run = async (durationMs: number): Promise<void> => {
    for (let passed = 0; passed <= durationMs; passed += 50) {
      await turns();
      clock.advance(50);
      await turns();
    }
  };
  subscription.start();
  return { subscription, consumers, broker, seen, run };
}

describe('KafkaSubscription', () => {
  it('waits no longer for a message that hangs when very many others have come behind it', async () => {
    const { consumers, run } = createSubscription({
      onMessage: (message) => {
        if (message.type === 'decision' && message.attempt === 0) return new Promise<void>(() => undefined);
        return undefined;
      },
    });
    await run(100);
    const consumer = consumers[0]!;
    await consumer.deliver(0, ...Array.from({ length: MAXIMUM_SPAN - 1 }, (_, n) => n + 1));
    await run(1_000);
    expect(consumer.commits.at(-1)).toEqual([{ topic, partition: 0, offset: 0 }]);
    await consumer.deliver(MAXIMUM_SPAN);
    await run(1_000);
    expect(consumer.commits.at(-1)).toEqual([{ topic, partition: 0, offset: MAXIMUM_SPAN + 1 }]);
  });

  it('commits in the background up to the lowest unfinished message', async () => {
    const handlers: (() => void)[] = [];
    const { subscription, consumers, run } = createSubscription({
      onMessage: () => new Promise<void>((resolve) => handlers.push(resolve)),
    });
    await subscription.standing;
    await consumers[0]!.deliver(7, 8, 9);
    handlers[0]!();
    handlers[2]!();
    await run(1_100);
    expect(consumers[0]!.commits).toEqual([[{ topic, partition: 0, offset: 8 }]]);
    expect(consumers[0]!.resolved).toBe('9');
    handlers[1]!();
    await run(1_100);
    expect(consumers[0]!.commits.at(-1)).toEqual([{ topic, partition: 0, offset: 10 }]);
  });

  it('builds a consumer anew that has crashed, and goes on behind what it had handed on', async () => {
    const { subscription, consumers, seen, run } = createSubscription();
    await subscription.standing;
    await consumers[0]!.deliver(1, 2);
    consumers[0]!.events.onCrashed(new Error('crashed on purpose'));
    await run(500);
    expect(consumers[0]!.disconnected).toBe(true);
    expect(consumers[1]!.seeks).toEqual([3]);
    await consumers[0]!.deliver(3); // one that was given up is not listened to
    await consumers[1]!.deliver(3);
    expect(seen).toEqual([1, 2, 3]);
  });

  it('builds a consumer anew that gets no answers, and only then', async () => {
    const { subscription, consumers, run } = createSubscription();
    await subscription.standing;
    await run(14_000);
    consumers[0]!.events.onAnswered();
    await run(14_000);
    expect(subscription.idleMs()).toBeGreaterThan(13_000);
    expect(consumers).toHaveLength(1);
    await run(2_000);
    expect(consumers).toHaveLength(2);
  });

  it.each([
    ['working', false],
    ['paused', true],
  ])('keeps trying while the broker is away, and knows for how long it is: %s', async (_what, paused) => {
    const { subscription, consumers, broker, run } = createSubscription();
    await subscription.standing;
    if (paused) subscription.pause();
    broker.isUp = false;
    consumers[0]!.events.onCrashed(new Error('broker went away'));
    await run(60_000);
    expect(consumers.length).toBeGreaterThan(20);
    const silentMs = subscription.silentMs();
    expect(silentMs).toBeGreaterThanOrEqual(60_000);
    expect(subscription.idleMs()).toBe(paused ? 0 : silentMs);
    broker.isUp = true;
    await run(3_000);
    const before = consumers.length;
    consumers.at(-1)!.events.onAnswered();
    if (!paused) await consumers.at(-1)!.deliver(1);
    await run(5_000);
    expect(consumers).toHaveLength(before);
    expect(subscription.silentMs()).toBeLessThan(6_000);
  });

  it('does not count as consuming until it has its place in the group, however often the broker answers', async () => {
    const { subscription, consumers, broker, run } = createSubscription();
    broker.refusal = new Error('Not authorized to access group');
    await run(5_000);
    consumers.at(-1)!.events.onAnswered(); // about the topics, say
    expect(subscription.idleMs()).toBe(Infinity);
    expect(subscription.failure()).toBe(broker.refusal);
    broker.refusal = undefined;
    await run(5_000);
    await subscription.standing;
    expect([subscription.idleMs() < 5_000, subscription.failure()]).toEqual([true, undefined]);
  });

  it('starts at the latest in a group of its own, and never commits for it', async () => {
    const { subscription, consumers, run } = createSubscription({ start: 'latest' });
    await subscription.standing;
    expect(consumers[0]!.group).toBe('bank-a.unique');
    expect(consumers[0]!.seeks).toEqual([40]);
    await consumers[0]!.deliver(40);
    await run(3_000);
    expect(consumers[0]!.commits).toEqual([]);
    consumers[0]!.events.onJoined([{ topic, partition: 0 }]); // a rebalance
    expect(consumers[0]!.seeks).toEqual([40, 41]);
  });

  it('survives offsets that go back, as after a topic was made anew', async () => {
    const { subscription, consumers, seen } = createSubscription();
    await subscription.standing;
    await consumers[0]!.deliver(100);
    await consumers[0]!.deliver(0, 1);
    expect(seen).toEqual([100, 0, 1]);
  });

  it('holds a batch while it is paused, lives on, and lets go of it at once when it resumes', async () => {
    const { subscription, consumers, seen, run } = createSubscription({ start: 'latest' });
    await subscription.standing;
    subscription.pause();
    let held = true;
    void consumers[0]!.deliver(40, 41).then(() => (held = false));
    await run(3_000);
    expect(held).toBe(true);
    expect(consumers[0]!.heartbeats).toBeGreaterThan(4);
    consumers[0]!.end = 50;
    subscription.resumeFromLatest();
    await turns();
    expect(held).toBe(false);
    expect(consumers[0]!.resolved).toBeUndefined();
    expect(consumers[0]!.seeks).toEqual([40, 50]);
    await consumers[0]!.deliver(50);
    expect(seen).toEqual([50]);
  });

  it('stays paused when it is paused again before the broker has said where to go on', async () => {
    const { subscription, consumers, run } = createSubscription({ start: 'latest' });
    await subscription.standing;
    subscription.pause();
    subscription.resumeFromLatest();
    subscription.pause();
    let held = true;
    void consumers[0]!.deliver(40).then(() => (held = false));
    await run(3_000);
    expect(held).toBe(true);
    subscription.resumeFromLatest();
    await turns();
    expect(held).toBe(false);
  });

  it('lets go of a held batch when its consumer ends', async () => {
    const { subscription, consumers } = createSubscription();
    await subscription.standing;
    subscription.pause();
    let held = true;
    void consumers[0]!.deliver(1).then(() => (held = false));
    consumers[0]!.events.onCrashed(new Error('crashed on purpose'));
    await turns();
    expect(held).toBe(false);
    expect(consumers[0]!.disconnected).toBe(true);
  });

  it('commits once more and disconnects when it is stopped', async () => {
    const { subscription, consumers, run } = createSubscription();
    await subscription.standing;
    await consumers[0]!.deliver(5);
    const stopped = subscription.stop();
    await run(200);
    await stopped;
    expect(consumers[0]!.commits).toEqual([[{ topic, partition: 0, offset: 6 }]]);
    expect(consumers[0]!.disconnected).toBe(true);
    await run(20_000);
    expect(consumers).toHaveLength(1);
  });
});
