import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { LatencyHistogram } from '../bench/latency-histogram.js';
import { dueAt, intendedStartMs, openLoop } from '../bench/open-loop.js';

describe('the schedule of an open loop', () => {
  const rate = { perSecond: 200, seconds: 2 };

  it('sends the first request at once and the others at even distances', () => {
    expect([0, 4.9, 5, 9.9, 10].map((elapsed) => dueAt(elapsed, rate))).toEqual([1, 1, 2, 2, 3]);
    expect([0, 1, 2].map((index) => intendedStartMs(index, 200))).toEqual([0, 5, 10]);
  });

  it('ends after as many as belong to its time', () => {
    expect(dueAt(1_994.9, rate)).toBe(399);
    expect(dueAt(1_995, rate)).toBe(400);
    expect(dueAt(1_000_000, rate)).toBe(400);
    expect(dueAt(-1, rate)).toBe(0);
  });
});

describe('an open loop', () => {
  it('sends every request of its schedule, whatever the answers do', async () => {
    let next = 0;
    const measured = await openLoop({ perSecond: 1_000, seconds: 0.2, connections: 4 }, async () =>
      next++ % 10 === 9 ? 'REFUSED' : undefined,
    );
    expect(measured).toMatchObject({ requested: 200, committed: 180, aborted: { REFUSED: 20 } });
    expect(measured.lateness.count).toBe(200);
  });

  // in a closed loop the one slow answer would be the only slow one
  it('counts the wait of those that were due while an answer kept them back', async () => {
    let isFirst = true;
    const measured = await openLoop({ perSecond: 100, seconds: 0.3, connections: 1 }, async () => {
      if (isFirst) {
        isFirst = false;
        await delay(250);
      }
      return undefined;
    });
    expect(measured.committed).toBe(30);
    expect(measured.latencies.percentile(0.5)).toBeGreaterThan(50);
  });

  it('has no more requests under way than connections, and no two on one', async () => {
    const busy = new Set<number>();
    let most = 0;
    await openLoop({ perSecond: 2_000, seconds: 0.1, connections: 3 }, async (client) => {
      expect(busy.has(client)).toBe(false);
      busy.add(client);
      most = Math.max(most, busy.size);
      await delay(5);
      busy.delete(client);
      return undefined;
    });
    expect(most).toBe(3);
  });

  it('rejects when an attempt rejects', async () => {
    const broken = () => Promise.reject(new Error('no connection'));
    await expect(openLoop({ perSecond: 100, seconds: 0.1, connections: 4 }, broken)).rejects.toThrow('no connection');
  });
});

describe('histograms', () => {
  it('are counted together', () => {
    const [one, other] = [new LatencyHistogram(), new LatencyHistogram()];
    one.add(1);
    one.add(2);
    other.add(500);
    const all = LatencyHistogram.merged([one, other]);
    expect(all.count).toBe(3);
    expect([0.3, 0.6, 1].map((fraction) => all.percentile(fraction))).toEqual([1, 2, 500]);
  });
});
