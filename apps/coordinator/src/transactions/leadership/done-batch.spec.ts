import { describe, expect, it } from '@jest/globals';
import type { BranchDone } from '@concordat/commit-protocol';
import { VirtualClock } from '@concordat/foundation';
import { DoneBatch } from './done-batch.js';

function item(number: number): BranchDone {
  return { transactionId: `transaction-${number}`, branchId: `branch-${number}`, end: 'committed' };
}

function items(count: number, first = 0): BranchDone[] {
  return Array.from({ length: count }, (_, position) => item(first + position));
}

class Fixture {
  readonly clock = new VirtualClock();
  readonly logged: (readonly BranchDone[])[] = [];
  refuses = false;
  readonly batch = new DoneBatch(this.clock, 20, (taken) => {
    if (this.refuses) this.batch.restore(taken);
    else this.logged.push(taken);
    return Promise.resolve();
  });

  get sizes(): number[] {
    return this.logged.map(({ length }) => length);
  }
}

describe('DoneBatch', () => {
  it('gathers for a while from the first on', () => {
    const { clock, batch, logged } = new Fixture();
    batch.add(item(1), false);
    clock.advance(19);
    batch.add(item(2), false);
    expect(logged).toEqual([]);
    clock.advance(1);
    expect(logged).toEqual([[item(1), item(2)]]);
    clock.advance(1_000);
    expect(logged).toHaveLength(1);
  });

  it('goes with another record once it has gathered for a while', () => {
    const { clock, batch, logged } = new Fixture();
    batch.ride();
    batch.add(item(1), false);
    clock.advance(7);
    batch.add(item(2), false);
    batch.ride();
    expect(logged).toEqual([]);
    clock.advance(1);
    batch.ride();
    batch.ride();
    expect(logged).toEqual([[item(1), item(2)]]);
    batch.add(item(3), false);
    batch.ride();
    expect(logged).toHaveLength(1);
    clock.advance(20);
    expect(logged).toEqual([[item(1), item(2)], [item(3)]]);
  });

  it('logs at the end of the turn when somebody waits, with what else there is', async () => {
    const { batch, logged } = new Fixture();
    batch.add(item(1), false);
    batch.add(item(2), true);
    batch.add(item(3), true);
    expect(logged).toEqual([]);
    await Promise.resolve();
    expect(logged).toEqual([[item(1), item(2), item(3)]]);
  });

  it('logs a full batch at once', () => {
    const fixture = new Fixture();
    for (const one of items(1_100)) fixture.batch.add(one, false);
    expect(fixture.sizes).toEqual([512, 512]);
    fixture.clock.advance(20);
    expect(fixture.sizes).toEqual([512, 512, 76]);
  });

  it('waits before it tries again what the log refused, a full batch too', () => {
    const fixture = new Fixture();
    fixture.refuses = true;
    for (const one of items(600)) fixture.batch.add(one, false);
    fixture.refuses = false;
    fixture.batch.ride();
    expect(fixture.logged).toEqual([]);
    fixture.clock.advance(20);
    fixture.clock.advance(20);
    expect(fixture.sizes).toEqual([512, 88]);
    expect(fixture.logged.flat()).toEqual(items(600));
  });

  it('logs nothing without need, unless it is told to', () => {
    const { batch, logged } = new Fixture();
    batch.flush();
    expect(logged).toEqual([]);
    batch.flush(true);
    expect(logged).toEqual([[]]);
  });

  it('logs nothing once it is closed', async () => {
    const { clock, batch, logged } = new Fixture();
    batch.add(item(1), true);
    batch.close();
    batch.add(item(2), false);
    batch.restore([item(3)]);
    await Promise.resolve();
    clock.advance(100);
    batch.flush(true);
    expect(logged).toEqual([]);
  });
});
