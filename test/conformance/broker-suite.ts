import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  DEAD_LETTER_HEADERS,
  DEAD_LETTER_TOPIC,
  decideTopic,
  encodeMessage,
  Namespace,
  prepareTopic,
  type MessageBus,
  type Topic,
} from '@concordat/messaging';
import { waitFor } from '../support/wait-for.js';
import {
  ascending,
  collect,
  describeMessageBus,
  freshGroup,
  freshParticipant,
  numbered,
  numberOf,
  range,
  SUITE_CLUSTER,
} from './message-bus-suite.js';

/** What the topics of the buses under test are called on the broker. */
export const SUITE = new Namespace({ cluster: SUITE_CLUSTER });
const OTHER = new Namespace({ cluster: 'other' });

export interface DeadLetter {
  readonly key: string | undefined;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What the suite needs of an adapter under test. */
export interface BrokerHarness {
  /** A bus on the common broker, of the cluster `suite` unless another one is named; not started yet. */
  createBus(cluster?: string): MessageBus;
  /** Bytes that no bus would send, to a topic by its name on the broker. */
  publishRaw(topic: string, key: string, value: Buffer): Promise<void>;
  /** Those of the cluster `suite`. */
  deadLetters(): Promise<readonly DeadLetter[]>;
  stop(): Promise<void>;
}

/** The rules of every bus, and those of a bus whose messages a broker keeps. */
export function describeBrokerBus(name: string, createHarness: () => Promise<BrokerHarness>): void {
  describeMessageBus(name, async () => {
    const harness = await createHarness();
    return {
      connect: async (participant) => {
        const [publisher, reader] = [harness.createBus(), harness.createBus()];
        await Promise.all([publisher.start(), reader.start()]);
        await publisher.ensureTopics([prepareTopic(participant), decideTopic(participant), DEAD_LETTER_TOPIC]);
        return { publisher, reader };
      },
      stop: () => harness.stop(),
    };
  });

  describe(`broker conformance: ${name}`, () => {
    let harness: BrokerHarness;
    const buses: MessageBus[] = [];

    beforeAll(async () => {
      harness = await createHarness();
    });

    afterEach(async () => {
      await Promise.all(buses.splice(0).map((bus) => bus.stop()));
    });

    afterAll(async () => {
      await harness?.stop();
    });

    async function startBus(...topics: Topic[]): Promise<MessageBus> {
      const bus = harness.createBus();
      buses.push(bus);
      await bus.start();
      await bus.ensureTopics([...topics, DEAD_LETTER_TOPIC]);
      return bus;
    }

    const freshTopic = (): Topic => decideTopic(freshParticipant());

    it('gives every message to each group, and a new group the old ones too', async () => {
      const topic = freshTopic();
      const bus = await startBus(topic);
      const first = await collect(bus, topic);
      await bus.publish(range(0, 20).map((number) => numbered(topic, number)));
      const second = await collect(bus, topic);
      await waitFor('both groups have all', () => first.numbers.length === 20 && second.numbers.length === 20);
      expect(ascending(second.numbers)).toEqual(range(0, 20));
    });

    it('begins with what comes from now on when told to start at the latest', async () => {
      const topic = freshTopic();
      const bus = await startBus(topic);
      await bus.publish(range(0, 10).map((number) => numbered(topic, number)));
      const late = await collect(bus, topic, { start: 'latest' });
      await bus.publish([numbered(topic, 10)]);
      await waitFor('the new message has come', () => late.numbers.includes(10));
      expect(late.numbers).toEqual([10]);
    });

    it('goes on after a restart where the group stopped, skipping and repeating nothing', async () => {
      const topic = freshTopic();
      const group = freshGroup();
      const publisher = await startBus(topic);
      const before = await startBus(topic);
      const first = await collect(before, topic, { group });
      await publisher.publish(range(0, 50).map((number) => numbered(topic, number)));
      await waitFor('the first half has come', () => first.numbers.length === 50);
      await before.stop();
      await publisher.publish(range(50, 100).map((number) => numbered(topic, number)));
      const after = await startBus(topic);
      const second = await collect(after, topic, { group });
      await waitFor('the second half has come', () => second.numbers.length === 50);
      expect(ascending(first.numbers)).toEqual(range(0, 50));
      expect(ascending(second.numbers)).toEqual(range(50, 100));
    });

    it('delivers again what was unfinished when its member stopped, and skips nothing behind it', async () => {
      const topic = freshTopic();
      const group = freshGroup();
      const key = randomUUID();
      const before = await startBus(topic);
      const started: number[] = [];
      const stuck = await before.subscribe({
        group,
        topics: [topic],
        stopTimeoutMs: 50,
        onMessage: (message) => {
          started.push(numberOf(message));
          return numberOf(message) === 3 ? new Promise<void>(() => undefined) : undefined;
        },
      });
      await before.publish(range(0, 10).map((number) => numbered(topic, number, key)));
      await waitFor('all were handed on', () => started.length === 10);
      await stuck.stop();
      const after = await startBus(topic);
      const again = await collect(after, topic, { group });
      await waitFor('the unfinished one and its followers came again', () => again.numbers.length === 7);
      expect(again.numbers).toEqual(range(3, 10));
    });

    it('shares the topic between the members of one group', async () => {
      const topic = freshTopic();
      const group = freshGroup();
      const buses2 = [await startBus(topic), await startBus(topic)];
      const members = await Promise.all(buses2.map((bus) => collect(bus, topic, { group })));
      await buses2[0]!.publish(range(0, 60).map((number) => numbered(topic, number)));
      const distinct = (): number => new Set(members.flatMap(({ numbers }) => numbers)).size;
      await waitFor('every message reached a member', () => distinct() === 60);
    });

    it('puts garbage aside with the reason and goes on', async () => {
      const topic = freshTopic();
      const bus = await startBus(topic);
      const reader = await collect(bus, topic);
      const key = randomUUID();
      const future = Buffer.from(JSON.stringify({ v: 99, type: 'decision' }));
      await bus.publish([numbered(topic, 0, key)]);
      await harness.publishRaw(SUITE.topic(topic), key, Buffer.from('not json'));
      await harness.publishRaw(SUITE.topic(topic), key, future);
      await harness.publishRaw(SUITE.topic(topic), key, Buffer.alloc(0));
      await bus.publish([numbered(topic, 1, key)]);
      await waitFor('the good ones have come', () => reader.numbers.length === 2);
      const mine = async (): Promise<DeadLetter[]> =>
        (await harness.deadLetters()).filter(
          ({ headers }) => headers[DEAD_LETTER_HEADERS.topic] === SUITE.topic(topic),
        );
      await waitFor('three dead letters lie there', async () => (await mine()).length === 3);
      const letters = (await mine()).toSorted((a, b) =>
        a.headers[DEAD_LETTER_HEADERS.offset]!.localeCompare(b.headers[DEAD_LETTER_HEADERS.offset]!),
      );
      expect(letters.map(({ headers }) => headers[DEAD_LETTER_HEADERS.reason])).toEqual([
        'NOT_JSON',
        'UNKNOWN_VERSION',
        'NOT_JSON',
      ]);
      expect(letters.map(({ value }) => value)).toEqual(['not json', future.toString(), '']);
      expect(letters.map((letter) => letter.key)).toEqual([key, key, key]);
      expect(letters[0]!.headers).toMatchObject({
        [DEAD_LETTER_HEADERS.partition]: expect.stringMatching(/^\d+$/),
        [DEAD_LETTER_HEADERS.offset]: '1',
      });
    });

    it('keeps clusters apart: same topic, same group, and nobody hears the other', async () => {
      const topic = freshTopic();
      const group = freshGroup();
      const bus = await startBus(topic);
      const other = harness.createBus(OTHER.cluster);
      buses.push(other);
      await other.start();
      await other.ensureTopics([topic, DEAD_LETTER_TOPIC]);
      const mine = await collect(bus, topic, { group });
      const theirs = await collect(other, topic, { group });
      await Promise.all(range(0, 20).map((number) => bus.publish([numbered(topic, number)])));
      await Promise.all(range(100, 120).map((number) => other.publish([numbered(topic, number)])));
      await waitFor('both have theirs', () => mine.numbers.length >= 20 && theirs.numbers.length >= 20);
      expect(ascending(mine.numbers)).toEqual(range(0, 20));
      expect(ascending(theirs.numbers)).toEqual(range(100, 120));
    });

    it('puts a message of another cluster aside, with a reason and a count of its own', async () => {
      const topic = freshTopic();
      const bus = await startBus(topic);
      const reader = await collect(bus, topic);
      const foreign = encodeMessage(OTHER.cluster, numbered(topic, 7).message);
      await harness.publishRaw(SUITE.topic(topic), randomUUID(), foreign);
      await bus.publish([numbered(topic, 8)]);
      await waitFor('its own has come and the other lies aside', async () => {
        const letters = await harness.deadLetters();
        return reader.numbers.length === 1 && letters.some(({ value }) => value === foreign.toString());
      });
      const letter = (await harness.deadLetters()).find(({ value }) => value === foreign.toString());
      expect(letter?.headers[DEAD_LETTER_HEADERS.reason]).toBe('OTHER_CLUSTER');
      expect(letter?.headers[DEAD_LETTER_HEADERS.topic]).toBe(SUITE.topic(topic));
      expect(reader.numbers).toEqual([8]);
      expect(bus.deadLetters()).toMatchObject({ OTHER_CLUSTER: 1, INVALID_FIELD: 0 });
    });

    it('counts a message as finished when its handler fails', async () => {
      const topic = freshTopic();
      const group = freshGroup();
      const bus = await startBus(topic);
      const seen: number[] = [];
      const subscription = await bus.subscribe({
        group,
        topics: [topic],
        onMessage: (message) => {
          seen.push(numberOf(message));
          if (seen.length % 2 === 0) throw new Error('thrown on purpose');
          return Promise.reject(new Error('rejected on purpose'));
        },
      });
      const key = randomUUID();
      await bus.publish(range(0, 6).map((number) => numbered(topic, number, key)));
      await waitFor('all were handed on', () => seen.length === 6);
      await subscription.stop();
      const after = await collect(await startBus(topic), topic, { group });
      await bus.publish([numbered(topic, 6, key)]);
      await waitFor('the new one has come', () => after.numbers.length > 0);
      expect(seen).toEqual(range(0, 6));
      expect(after.numbers).toEqual([6]);
    });

    it('skips what was published during a pause', async () => {
      const topic = freshTopic();
      const group = freshGroup();
      const bus = await startBus(topic);
      const reader = await collect(bus, topic, { group });
      await bus.publish([numbered(topic, 0)]);
      await waitFor('the first has come', () => reader.numbers.length === 1);
      reader.pause();
      expect(reader.idleMs()).toBe(0);
      await bus.publish(range(100, 120).map((number) => numbered(topic, number)));
      reader.resumeFromLatest();
      // where "now" is, the broker decides when it is asked: publish until one arrives
      let number = 1_000;
      await waitFor('a message after the pause has come', async () => {
        await bus.publish([numbered(topic, number++)]);
        return reader.numbers.some((seen) => seen >= 1_000);
      });
      expect(reader.numbers.filter((seen) => seen >= 100 && seen < 1_000)).toEqual([]);
      await reader.stop();
      const successor = await collect(await startBus(topic), topic, { group });
      await bus.publish([numbered(topic, 5_000)]);
      await waitFor('the successor reads', () => successor.numbers.includes(5_000));
      expect(successor.numbers.filter((seen) => seen >= 100 && seen < 1_000)).toEqual([]);
    });

    it('sends what was published before its start once it has started', async () => {
      const topic = freshTopic();
      const reader = await collect(await startBus(topic), topic);
      const bus = harness.createBus();
      buses.push(bus);
      const published = bus.publish([numbered(topic, 7)]);
      await bus.start();
      await published;
      await waitFor('it has come', () => reader.numbers.length === 1);
      expect(bus.isConnected()).toBe(true);
    });

    it('delivers nothing and takes nothing after its stop', async () => {
      const topic = freshTopic();
      const stays = await startBus(topic);
      const bus = await startBus(topic);
      const witness = await collect(stays, topic);
      const reader = await collect(bus, topic);
      const lastWords = bus.publish([numbered(topic, 0)]);
      await bus.stop();
      await lastWords;
      await waitFor('what was published before the stop was sent', () => witness.numbers.length === 1);
      const had = reader.numbers.length;
      await stays.publish([numbered(topic, 1)]);
      await waitFor('the witness reads on', () => witness.numbers.length === 2);
      expect(reader.numbers).toHaveLength(had);
      expect(bus.isConnected()).toBe(false);
      await expect(bus.publish([numbered(topic, 2)])).rejects.toMatchObject({ code: 'BUS_STOPPED' });
      await bus.stop();
    });
  });
}
