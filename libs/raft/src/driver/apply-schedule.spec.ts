import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { ROLES } from '../core/testing/fuzz/roles.js';
import type { RaftCore } from '../core/raft-core.js';
import { ApplySchedule } from './apply-schedule.js';

/** The only voter of its group, with entries to apply; it hands out one at a time. */
function coreWith(entryCount: number): RaftCore {
  const core = ROLES['the only voter']!();
  core.propose(Array.from({ length: entryCount }, () => new Uint8Array(190)));
  core.advance(core.ready().persist!);
  expect(core.unapplied.entries).toBe(entryCount);
  return core;
}

describe('ApplySchedule', () => {
  it('applies for a few milliseconds in one turn, and the rest later', () => {
    const clock = new VirtualClock();
    let applied = 0;
    const schedule = new ApplySchedule({
      lazyFollowers: false,
      clock: { ...methodsOf(clock), monotonic: () => 2 * applied },
      apply: (entries) => (applied += entries.length),
    });
    const core = coreWith(5);
    expect([schedule.run(core, false), applied]).toEqual([true, 2]);
    expect([schedule.run(core, false), applied]).toEqual([true, 4]);
    expect([schedule.run(core, false), applied]).toEqual([false, 5]);
    expect(schedule.run(core, false)).toBe(false);
  });
});

function methodsOf(clock: VirtualClock): Pick<VirtualClock, 'now' | 'setTimer'> {
  return { now: () => clock.now(), setTimer: (delayMs, action) => clock.setTimer(delayMs, action) };
}
