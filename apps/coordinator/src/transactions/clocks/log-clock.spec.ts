import { describe, expect, it } from '@jest/globals';
import { randomInteger, SeededRandom, VirtualClock, type Clock } from '@concordat/foundation';
import { SINGLE_VOTER, type ClockReading, type GroupClocks } from './group-clocks.js';
import { LogClock } from './log-clock.js';

const START = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

/** A node whose clock can be set, and those of two others. */
class Node {
  readonly truth = new VirtualClock(START);
  readonly logTime = { now: 0, steppedTo: 0 };
  offsetMs = 0;
  peersAhead: number[];
  readonly clock: LogClock;

  constructor(peersAhead: readonly number[] = [0, 0], group?: GroupClocks) {
    this.peersAhead = [...peersAhead];
    const machine: Clock = {
      now: () => this.truth.now() + this.offsetMs,
      monotonic: () => this.truth.monotonic(),
      setTimer: (delayMs, action) => this.truth.setTimer(delayMs, action),
    };
    this.clock = new LogClock(
      machine,
      { logTime: this.logTime },
      group ?? { voters: 3, readings: () => this.readings() },
    );
  }

  /** How far log time is ahead of the truth. */
  get ahead(): number {
    return this.clock.now() - this.truth.now();
  }

  pass(ms: number): this {
    this.truth.advance(ms);
    return this;
  }

  private readings(): ClockReading[] {
    return this.peersAhead.map((ahead) => ({
      unixMs: this.truth.now() + ahead,
      readAt: this.truth.monotonic(),
      errorMs: 1,
    }));
  }
}

describe('the time of records and ids', () => {
  it('is the time of the node while the group agrees with it', () => {
    const node = new Node([20, -10]);
    expect([node.ahead, node.pass(HOUR).ahead]).toEqual([0, 0]);
  });

  it.each([3 * HOUR, -3 * HOUR, 6_000, -6_000])('is not moved by setting the clock of the node by %i ms', (stepMs) => {
    const node = new Node();
    const before = node.clock.now();
    node.offsetMs = stepMs;
    expect(node.clock.now()).toBe(before);
    expect(Math.abs(node.pass(HOUR).ahead)).toBeLessThanOrEqual(1);
    node.offsetMs = 0;
    expect(Math.abs(node.pass(HOUR).ahead)).toBeLessThanOrEqual(1);
  });

  it('goes on by the monotonic clock while no majority agrees', () => {
    const node = new Node();
    expect(node.ahead).toBe(0);
    node.peersAhead = [HOUR, -HOUR];
    node.offsetMs = 5 * HOUR;
    expect(node.pass(200).ahead).toBe(0);
    expect(node.pass(2 * HOUR).ahead).toBe(0);
    expect(node.clock.agreedTime()).toBeUndefined();
  });

  it('goes on by the monotonic clock while too few others are heard', () => {
    const node = new Node();
    expect(node.ahead).toBe(0);
    node.peersAhead = [];
    node.offsetMs = -HOUR;
    expect(node.pass(1_000).ahead).toBe(0);
  });

  it('is that of the node alone, as long as it has heard nobody', () => {
    const node = new Node([]);
    node.logTime.now = START - 72 * HOUR; // the group was down for three days
    expect([node.ahead, node.clock.latestTime()]).toEqual([0, undefined]);
  });

  it('is the lowest that any clock tells, when they have never agreed', () => {
    const node = new Node([HOUR]);
    expect([node.ahead, node.clock.latestTime()]).toEqual([0, START + HOUR + 1]);
  });

  it('never lies behind log time, and lets the clocks catch up with it', () => {
    const node = new Node();
    node.logTime.now = START + HOUR; // of a leader that was wrong
    expect(node.ahead).toBe(HOUR);
    expect(node.pass(HOUR).ahead).toBe(HOUR / 2);
    expect(node.pass(2 * HOUR).ahead).toBe(0);
    expect(node.clock.agreedTime()).toBe(node.truth.now());
  });

  it('lets no age be reckoned with what log time is ahead', () => {
    const node = new Node();
    node.logTime.now = START + 50 * HOUR;
    expect(node.clock.agreedTime()).toBe(START);
  });

  it('follows the only clock there is, but not back', () => {
    const node = new Node([], SINGLE_VOTER);
    expect(node.ahead).toBe(0);
    node.offsetMs = HOUR;
    expect(node.pass(1_000).ahead).toBe(HOUR);
    node.offsetMs = 0;
    expect(node.pass(1_000).ahead).toBe(HOUR - 500);
  });

  it('never goes back, however clocks are set, and whatever is received or applied', () => {
    const random = new SeededRandom(5);
    const node = new Node();
    let last = node.clock.now();
    for (let round = 0; round < 20_000; round++) {
      const step = (): number => randomInteger(random, -4 * HOUR, 4 * HOUR);
      const dice = randomInteger(random, 1, 50);
      if (dice === 1) node.offsetMs = step();
      if (dice === 2) node.peersAhead = Array.from({ length: randomInteger(random, 0, 2) }, step);
      if (dice === 3) [node.offsetMs, node.peersAhead] = [0, [0, 0]];
      if (dice > 40) node.logTime.now = Math.max(node.logTime.now, last + randomInteger(random, -500, 100));
      node.clock.onApplied();
      node.pass(randomInteger(random, 0, 2_000));
      const now = node.clock.now();
      if (now < last || now < node.logTime.now) throw new Error(`round ${round}: ${now} after ${last}`);
      last = now;
    }
  });
});
