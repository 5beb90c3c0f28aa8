import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CommitOnePhaseMessage, ProtocolMessage } from '@concordat/commit-protocol';
import {
  decideTopic,
  encodeMessage,
  messageKey,
  prepareTopic,
  type MessageBus,
  type OutgoingMessage,
  type SubscriptionOptions,
  type Topic,
} from '@concordat/messaging';
import { waitFor } from '../support/wait-for.js';

/** The cluster of the buses under test. */
export const SUITE_CLUSTER = 'suite';

/** Two ends of one link; over a broker they may be the same bus. */
export interface ConnectedBuses {
  /** what a coordinator has */
  readonly publisher: MessageBus;
  /** what a participant has */
  readonly reader: MessageBus;
}

/** What the suite needs of an adapter under test. */
export interface MessageBusHarness {
  /** Started buses: what the first publishes to the topics of this participant, the second can read. */
  connect(participant: string): Promise<ConnectedBuses>;
  stop(): Promise<void>;
}

/** A message that carries its number as `deadline` and its key as the transaction. */
export function numbered(topic: Topic, number: number, transactionId: string = randomUUID()): OutgoingMessage {
  const message: CommitOnePhaseMessage = {
    type: 'commit-one-phase',
    transactionId,
    branchId: transactionId,
    participant: 'bank-a',
    operations: [],
    deadline: number,
    attempt: 0,
  };
  return { topic, message };
}

/** What `numbered` has put into a message. */
export function numberOf(message: ProtocolMessage): number {
  if (message.type !== 'commit-one-phase') throw new Error(`a ${message.type} message has no number`);
  return message.deadline;
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

export function ascending(numbers: readonly number[]): number[] {
  return numbers.toSorted((left, right) => left - right);
}

export function freshParticipant(): string {
  return `p-${randomUUID()}`;
}

export function freshGroup(): string {
  return `group-${randomUUID()}`;
}

export interface Collected {
  readonly numbers: number[];
  stop(): Promise<void>;
  pause(): void;
  resumeFromLatest(): void;
  idleMs(): number;
}

/** Subscribes and writes down the numbers that arrive. */
export async function collect(
  bus: MessageBus,
  topic: Topic,
  options: Partial<SubscriptionOptions> = {},
): Promise<Collected> {
  const numbers: number[] = [];
  const subscription = await bus.subscribe({
    group: freshGroup(),
    topics: [topic],
    onMessage: (message) => void numbers.push(numberOf(message)),
    ...options,
  });
  return {
    numbers,
    stop: () => subscription.stop(),
    pause: () => subscription.pause(),
    resumeFromLatest: () => subscription.resumeFromLatest(),
    idleMs: () => subscription.idleMs(),
  };
}

/** The rules of the `MessageBus` port that hold on every road; every adapter passes all of them. */
export function describeMessageBus(name: string, createHarness: () => Promise<MessageBusHarness>): void {
  describe(`message bus conformance: ${name}`, () => {
    let harness: MessageBusHarness;
    const buses = new Set<MessageBus>();

    beforeAll(async () => {
      harness = await createHarness();
    });

    afterEach(async () => {
      await Promise.all([...buses].map((bus) => bus.stop()));
      buses.clear();
    });

    afterAll(async () => {
      await harness?.stop();
    });

    async function connect(participant = freshParticipant()): Promise<ConnectedBuses & { readonly topic: Topic }> {
      const { publisher, reader } = await harness.connect(participant);
      buses.add(publisher).add(reader);
      return { publisher, reader, topic: decideTopic(participant) };
    }

    it('delivers messages of one key in the order in which they were published', async () => {
      const { publisher, reader, topic } = await connect();
      const keys = range(0, 5).map(() => randomUUID());
      const seen = new Map<string, number[]>();
      await reader.subscribe({
        group: freshGroup(),
        topics: [topic],
        onMessage: (message) => {
          const key = messageKey(message);
          seen.set(key, [...(seen.get(key) ?? []), numberOf(message)]);
        },
      });
      const publications = range(0, 200).map((number) =>
        publisher.publish([numbered(topic, number, keys[number % 5])]),
      );
      await Promise.all(publications);
      await waitFor('all have come', () => [...seen.values()].flat().length === 200);
      for (const [index, key] of keys.entries()) {
        expect(seen.get(key)).toEqual(range(0, 200).filter((number) => number % 5 === index));
      }
    });

    it('takes a batch over several topics in one call', async () => {
      const participant = freshParticipant();
      const topics = [prepareTopic(participant), decideTopic(participant)];
      const { publisher, reader } = await connect(participant);
      const numbers: number[] = [];
      await reader.subscribe({
        group: freshGroup(),
        topics,
        onMessage: (message) => void numbers.push(numberOf(message)),
      });
      await publisher.publish(range(0, 300).map((number) => numbered(topics[number % 2]!, number)));
      await waitFor('all have come', () => numbers.length === 300);
      expect(ascending(numbers)).toEqual(range(0, 300));
    });

    it('carries the largest message beside small ones', async () => {
      const { publisher, reader, topic } = await connect();
      const collected = await collect(reader, topic);
      const large = numbered(topic, 1);
      const payload = { text: 'x'.repeat(200_000) };
      const operations = range(0, 4).map((index) => ({ operation: `o-${index}`, payload, keys: [] }));
      const message = { ...large.message, operations } as CommitOnePhaseMessage;
      await publisher.publish([numbered(topic, 0), { topic, message }, numbered(topic, 2)]);
      await waitFor('all have come', () => collected.numbers.length === 3);
      expect(ascending(collected.numbers)).toEqual([0, 1, 2]);
    });

    it('never hands on more than the bound of unfinished messages', async () => {
      const { publisher, reader, topic } = await connect();
      const waiting: (() => void)[] = [];
      let most = 0;
      let handled = 0;
      await reader.subscribe({
        group: freshGroup(),
        topics: [topic],
        maximumInFlight: 5,
        onMessage: () =>
          new Promise<void>((resolve) => {
            waiting.push(resolve);
            most = Math.max(most, waiting.length);
          }),
      });
      await publisher.publish(range(0, 50).map((number) => numbered(topic, number)));
      await waitFor('the bound is reached', () => waiting.length === 5);
      await waitFor('all were handled', () => {
        const next = waiting.shift();
        if (next) handled++;
        next?.();
        return handled === 50;
      });
      expect(most).toBe(5);
    });

    it('counts a message as finished when its handler fails', async () => {
      const { publisher, reader, topic } = await connect();
      const seen: number[] = [];
      await reader.subscribe({
        group: freshGroup(),
        topics: [topic],
        maximumInFlight: 1,
        onMessage: (message) => {
          seen.push(numberOf(message));
          if (seen.length % 2 === 0) throw new Error('thrown on purpose');
          return Promise.reject(new Error('rejected on purpose'));
        },
      });
      const key = randomUUID();
      await publisher.publish(range(0, 6).map((number) => numbered(topic, number, key)));
      await waitFor('all were handed on', () => seen.length === 6);
      expect(seen).toEqual(range(0, 6));
    });

    it('skips what was published during a pause', async () => {
      const { publisher, reader, topic } = await connect();
      const collected = await collect(reader, topic);
      await publisher.publish([numbered(topic, 0)]);
      await waitFor('the first has come', () => collected.numbers.length === 1);
      collected.pause();
      expect(collected.idleMs()).toBe(0);
      await publisher.publish(range(100, 120).map((number) => numbered(topic, number)));
      // a marker to another subscription: what was published before it has been skipped
      const marker = await collect(reader, topic);
      await waitFor('the marker has come', async () => {
        await publisher.publish([numbered(topic, 500)]);
        return marker.numbers.includes(500);
      });
      collected.resumeFromLatest();
      // where "now" is, a broker decides when it is asked: publish until one arrives
      let number = 1_000;
      await waitFor('a message after the pause has come', async () => {
        await publisher.publish([numbered(topic, number++)]);
        return collected.numbers.some((seen) => seen >= 1_000);
      });
      expect(collected.numbers.filter((seen) => seen >= 100 && seen < 500)).toEqual([]);
    });

    it('delivers nothing and takes nothing after its stop', async () => {
      const { publisher, reader, topic } = await connect();
      const collected = await collect(reader, topic);
      const lastWords = publisher.publish([numbered(topic, 0)]);
      await publisher.stop();
      await lastWords;
      await waitFor('what was published before the stop was sent', () => collected.numbers.length === 1);
      expect(publisher.isConnected()).toBe(false);
      await expect(publisher.publish([numbered(topic, 2)])).rejects.toMatchObject({ code: 'BUS_STOPPED' });
      await publisher.stop();
    });

    it('refuses to publish what no reader would take, and sends the rest', async () => {
      const { publisher, reader, topic } = await connect();
      const collected = await collect(reader, topic);
      const wrong = numbered(topic, -1);
      expect(() => encodeMessage(SUITE_CLUSTER, wrong.message)).toThrow('deadline');
      await expect(publisher.publish([numbered(topic, 1), wrong, numbered(topic, 2)])).rejects.toMatchObject({
        code: 'MESSAGES_UNSENDABLE',
        refused: [{ error: { code: 'MESSAGE_NOT_ENCODABLE', path: 'deadline' } }],
      });
      await waitFor('the others have come', () => collected.numbers.length === 2);
    });
  });
}
