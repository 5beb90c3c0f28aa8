import { describe, expect, it } from '@jest/globals';
import type { BegunTransaction } from '@concordat/client';
import { SeededRandom, UuidV7Generator, VirtualClock } from '@concordat/foundation';
import { BEGIN_AFTER_MS, ReservedTransactions, USED_WITHIN_MS } from './reserved-transactions.js';

const REQUEST = { protocol: '2pc', timeoutMs: 10_000 } as const;
const AHEAD_MS = 4_000;

/** Of coordinators whose clock is ahead. */
function reservations() {
  const clock = new VirtualClock();
  const ids = new UuidV7Generator(() => clock.now(), new SeededRandom(1));
  const due: string[] = [];
  const counts: number[] = [];
  const reserved = new ReservedTransactions(clock, (id) => void due.push(id));
  const reserve = () =>
    reserved.reserve(async (count) => {
      counts.push(count);
      const createdAt = new Date(clock.now() + AHEAD_MS).toISOString();
      return { createdAt, reserved: Array.from({ length: count }, () => ids.next()) } as unknown as BegunTransaction;
    });
  return { clock, reserved, reserve, due, counts };
}

describe('transactions whose ids are reserved', () => {
  it('begin without a request, each with an id of its own, and the deadline of the coordinators', async () => {
    const { clock, reserved, reserve } = reservations();
    expect(reserved.begin(REQUEST)).toBeUndefined();
    await reserve();
    const one = reserved.begin(REQUEST)!;
    expect(one.deadline).toBe(clock.now() + AHEAD_MS + REQUEST.timeoutMs);
    expect(reserved.begin(REQUEST)!.transactionId).not.toBe(one.transactionId);
    clock.advance(100);
    expect(reserved.take(one.transactionId)!.leftMs()).toBe(REQUEST.timeoutMs - 100);
    expect(reserved.take(one.transactionId)).toBeUndefined();
  });

  it('are as many as are used, and the next are reserved before there are none', async () => {
    const { clock, reserved, reserve, counts } = reservations();
    const use = async (): Promise<number> => {
      await reserve();
      let used = 0;
      while (reserved.begin(REQUEST)) used++;
      return used;
    };
    for (let times = 0; times < 8; times++) await use();
    expect(counts).toEqual([4, 8, 16, 32, 64, 128, 128, 128]);
    clock.advance(USED_WITHIN_MS);
    expect(reserved.begin(REQUEST)).toBeUndefined();
    await reserve();
    expect(counts.at(-1)).toBe(64);
  });

  it('use what is left while the next are being reserved, by one request at a time', async () => {
    const { reserved, reserve, counts } = reservations();
    await reserve();
    while (reserved.begin(REQUEST)) continue;
    const asked = [reserve(), reserve()];
    expect(reserved.begin(REQUEST)).toBeDefined(); // the last ones are kept for that
    await Promise.all(asked);
    expect(counts).toEqual([4, 8, 0]);
  });

  it('do not serve when they are too old, or another coordinator leads', async () => {
    const { clock, reserved, reserve } = reservations();
    await reserve();
    clock.advance(USED_WITHIN_MS);
    expect(reserved.begin(REQUEST)).toBeUndefined();
    await reserve();
    reserved.forgetIds();
    expect(reserved.begin(REQUEST)).toBeUndefined();
  });

  it('are told when they have run for a while, unless they are begun', async () => {
    const { clock, reserved, reserve, due } = reservations();
    await reserve();
    const [one, other] = [reserved.begin(REQUEST)!, reserved.begin(REQUEST)!];
    reserved.take(other.transactionId);
    clock.advance(BEGIN_AFTER_MS);
    expect(due).toEqual([one.transactionId]);
  });
});
