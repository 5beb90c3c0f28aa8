import { beforeEach, describe, expect, it } from '@jest/globals';
import { VirtualClock, silentLogger } from '@concordat/foundation';
import { BeforeConsumingTimeoutError } from '../runtime/errors.js';
import { BeforeConsuming } from './before-consuming.js';

const LIMIT_MS = 100_000;

let clock: VirtualClock;
let warnings: string[];
let runs: number;

beforeEach(() => {
  clock = new VirtualClock();
  warnings = [];
  runs = 0;
});

function hookOf(act: () => Promise<void>): BeforeConsuming {
  const logger = { ...silentLogger, warn: (line: string) => void warnings.push(line) };
  const hook = (): Promise<void> => {
    runs++;
    return act();
  };
  return new BeforeConsuming(hook, LIMIT_MS, { clock, logger });
}

const forever = (): Promise<void> => new Promise(() => undefined);

describe('the hook before anything is consumed', () => {
  it('is no obstacle before it begins, and none when it has ended; it leaves no timer behind', async () => {
    const hook = hookOf(async () => undefined);
    expect(hook.obstacle()).toBeUndefined();
    await hook.run();
    expect([hook.obstacle(), clock.nextDueAt()]).toEqual([undefined, undefined]);
  });

  it('is said to be pending, in the log every 30 s and in readiness at once', async () => {
    const hook = hookOf(forever);
    void hook.run().catch(() => undefined);
    expect(hook.obstacle()).toMatch(/^beforeConsuming has been running for 0 s; until it ends nothing is consumed/);
    clock.advance(61_000);
    expect(hook.obstacle()).toContain('for 61 s');
    expect(warnings).toHaveLength(2);
    expect(warnings[1]).toContain('for 60 s; until it ends nothing is consumed, and it is given up after 100 s');
  });

  it('is given up for good when it takes too long: what it still does must not meet a second run', async () => {
    const hook = hookOf(forever);
    const run = expect(hook.run()).rejects.toThrow(BeforeConsumingTimeoutError);
    clock.advance(LIMIT_MS);
    await run;
    await expect(hook.run()).rejects.toMatchObject({ code: 'BEFORE_CONSUMING_TIMEOUT', retryable: false });
    expect(runs).toBe(1);
    expect(hook.obstacle()).toContain('did not end within 100000 ms');
    expect(clock.nextDueAt()).toBeUndefined();
  });

  it.each<[string, () => Promise<void>, string]>([
    ['rejects', () => Promise.reject(new Error('a lock')), 'a lock'],
    ['throws', () => raise(new Error('at once')), 'at once'],
    ['throws nothing that can be read', () => raise(Object.create(null)), 'the thrown value cannot be read'],
  ])('that %s says why, and may be run again', async (_how, act, why) => {
    let fails = true;
    const hook = hookOf(() => (fails ? act() : Promise.resolve()));
    await expect(hook.run()).rejects.toBeDefined();
    expect(hook.obstacle()).toBe(`beforeConsuming failed and is tried again: ${why}`);
    fails = false;
    await hook.run();
    expect([hook.obstacle(), runs]).toEqual([undefined, 2]);
  });

  it('is not waited for by a process that stops', async () => {
    const hook = hookOf(forever);
    const run = hook.run();
    hook.stop();
    await run;
    expect(clock.nextDueAt()).toBeUndefined();
  });
});

function raise(thrown: unknown): never {
  throw thrown;
}
