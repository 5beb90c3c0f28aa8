import { describe, expect, it } from '@jest/globals';
import { SeededRandom, silentLogger, VirtualClock } from '@concordat/foundation';
import type { EncodedMessage } from './contract/codec.js';
import { SendQueue, type SendQueueLimits, SendRefusedError } from './send-queue.js';

interface Attempt {
  readonly keys: string[];
  resolve(): void;
  reject(error: Error): void;
}

function entry(key: string, sizeBytes = 10): EncodedMessage {
  return { topic: 'topic', key, value: Buffer.alloc(sizeBytes) };
}

/** A queue whose broker answers when the test says so. */
function createQueue(limits: Partial<SendQueueLimits> = {}, addedBytes = 0) {
  const clock = new VirtualClock();
  const attempts: Attempt[] = [];
  const queue = new SendQueue({
    send: (batch) =>
      new Promise((resolve, reject) => {
        attempts.push({ keys: batch.map(({ key }) => String(key)), resolve, reject });
      }),
    addedBytes,
    defer: (action) => void clock.setTimer(0, action),
    clock,
    random: new SeededRandom(1),
    logger: silentLogger,
    limits,
  });
  /** lets promises settle and timers fire */
  const settle = async (advanceMs = 0): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    clock.advance(advanceMs);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  return { queue, attempts, settle };
}

describe('SendQueue', () => {
  it('waits for its opening, sends one turn in one request and what comes meanwhile in the next', async () => {
    const { queue, attempts, settle } = createQueue();
    const first = Promise.all([queue.publish([entry('a')]), queue.publish([entry('b'), entry('c')])]);
    await settle(10);
    expect(attempts).toHaveLength(0);
    queue.open();
    await settle(0);
    const second = queue.publish([entry('d')]);
    await settle(10);
    expect(attempts.map(({ keys }) => keys)).toEqual([['a', 'b', 'c']]);
    attempts[0]!.resolve();
    await first;
    await settle();
    await settle();
    attempts[1]!.resolve();
    await second;
    expect(attempts.map(({ keys }) => keys)).toEqual([['a', 'b', 'c'], ['d']]);
    expect(queue.size).toBe(0);
  });

  it('sends at once what somebody waits for, unless a request is in flight', async () => {
    const { queue, attempts, settle } = createQueue();
    queue.open();
    const published = [
      queue.publish([entry('a')]),
      queue.publish([entry('b')], true),
      queue.publish([entry('c')], true),
    ];
    expect(attempts.map(({ keys }) => keys)).toEqual([['a', 'b']]);
    await settle();
    attempts[0]!.resolve();
    await settle();
    await settle();
    expect(attempts.map(({ keys }) => keys)).toEqual([['a', 'b'], ['c']]);
    attempts[1]!.resolve();
    await Promise.all(published);
    expect(queue.size).toBe(0);
  });

  it('sends requests that are small enough with what is added to each message', async () => {
    for (const [addedBytes, counts] of [
      [0, [4]],
      [14, [2, 2]],
    ] as const) {
      const { queue, attempts, settle } = createQueue({ batchBytes: 50 }, addedBytes);
      queue.open();
      const published = queue.publish(['a', 'b', 'c', 'd'].map((key) => entry(key)));
      for (const place of counts.keys()) {
        await settle(1);
        attempts[place]!.resolve();
      }
      await published;
      expect(attempts.map(({ keys }) => keys.length)).toEqual(counts);
    }
  });

  it('repeats a failed request in the same order, later and later', async () => {
    const { queue, attempts, settle } = createQueue();
    queue.open();
    const published = queue.publish([entry('a'), entry('b')]);
    for (let attempt = 0; attempt < 8; attempt++) {
      await settle(1_001);
      attempts[attempt]!.reject(new Error('no broker'));
      await settle();
      expect(attempts).toHaveLength(attempt + 1);
    }
    await settle(1_001);
    await settle();
    attempts[8]!.resolve();
    await published;
    expect(attempts.every(({ keys }) => keys.join('') === 'ab')).toBe(true);
  });

  it('refuses what exceeds its messages or bytes, as a whole', async () => {
    const few = createQueue({ maximumMessages: 2 }).queue;
    void few.publish([entry('a')]).catch(() => undefined);
    await expect(few.publish([entry('b'), entry('c')])).rejects.toMatchObject({ code: 'BUS_BUFFER_FULL' });
    expect(few.size).toBe(1);
    const small = createQueue({ maximumBytes: 100 }).queue;
    await expect(small.publish([entry('a', 60), entry('b', 60)])).rejects.toMatchObject({ retryable: true });
    expect(small.size).toBe(0);
  });

  it('drops what waited too long and keeps the younger', async () => {
    const { queue, attempts, settle } = createQueue({ maximumAgeMs: 500, batchMessages: 1 });
    queue.open();
    const old = queue.publish([entry('old')]);
    const oldFails = expect(old).rejects.toMatchObject({ code: 'BUS_MESSAGE_EXPIRED' });
    await settle(600);
    const young = queue.publish([entry('young')]);
    attempts[0]!.reject(new Error('no broker'));
    await oldFails;
    await settle(1_001);
    await settle();
    attempts[1]!.resolve();
    await young;
    expect(attempts[1]!.keys).toEqual(['young']);
  });

  it('finds the one message that the broker refuses and sends the others', async () => {
    const { queue, attempts, settle } = createQueue();
    queue.open();
    const good = Promise.all([queue.publish([entry('a')]), queue.publish([entry('c')])]);
    const bad = expect(queue.publish([entry('b')])).rejects.toMatchObject({ code: 'BUS_MESSAGE_REFUSED' });
    await settle();
    attempts[0]!.reject(new SendRefusedError('too large'));
    for (let attempt = 1; attempt < 4; attempt++) {
      await settle();
      if (attempts[attempt]!.keys[0] === 'b') attempts[attempt]!.reject(new SendRefusedError('too large'));
      else attempts[attempt]!.resolve();
    }
    await Promise.all([good, bad]);
    expect(attempts.map(({ keys }) => keys.join(''))).toEqual(['acb', 'a', 'c', 'b']);
  });

  it('drains when it is closed, and drops the rest after the time for it', async () => {
    const { queue, attempts, settle } = createQueue();
    queue.open();
    const sent = queue.publish([entry('a')]);
    await settle();
    const closed = queue.close(1_000);
    attempts[0]!.resolve();
    await Promise.all([sent, closed]);
    await expect(queue.publish([entry('b')])).rejects.toMatchObject({ code: 'BUS_STOPPED' });

    const stuck = createQueue();
    stuck.queue.open();
    const lost = expect(stuck.queue.publish([entry('a')])).rejects.toMatchObject({ code: 'BUS_STOPPED' });
    await stuck.settle();
    const closing = stuck.queue.close(1_000);
    await stuck.settle(1_000);
    await Promise.all([closing, lost]);
  });
});
