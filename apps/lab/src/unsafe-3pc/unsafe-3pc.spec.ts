import { describe, expect, it } from '@jest/globals';
import { runPartition } from './partition.js';
import { UnsafeParticipant, type UnsafeParticipantState } from './unsafe-participant.js';
import { UnsafeSystem } from './unsafe-system.js';

/** Delivers everything until nothing is on its way. */
function runToEnd(system: UnsafeSystem): UnsafeParticipantState[] {
  for (let [message] = system.messages; message; [message] = system.messages) {
    system.perform({ type: 'deliver', message });
  }
  return system.states();
}

describe("the textbook's participant, which decides by its state when it has waited too long", () => {
  it.each<[string, readonly ('prepare' | 'precommit')[], UnsafeParticipantState]>([
    ['aborts before it has voted', [], 'aborted'],
    ['aborts while it is uncertain', ['prepare'], 'aborted'],
    ['commits when it is precommitted', ['prepare', 'precommit'], 'committed'],
  ])('%s', (_, received, end) => {
    const participant = new UnsafeParticipant(0, true);
    for (const type of received) participant.receive({ type, to: 0 });
    participant.timeout();
    expect(participant.state).toBe(end);
    expect(participant.receive({ type: end === 'committed' ? 'abort' : 'commit', to: 0 })).toEqual([]);
    expect(participant.state).toBe(end);
  });
});

describe("the textbook's protocol", () => {
  it('commits and aborts as it should where everything arrives in time', () => {
    expect(runToEnd(new UnsafeSystem([true, true, true]))).toEqual(['committed', 'committed', 'committed']);
    expect(runToEnd(new UnsafeSystem([true, false, true]))).toEqual(['aborted', 'aborted', 'aborted']);
  });

  it('has a coordinator that takes silence for death', () => {
    const silent = new UnsafeSystem([true, true]);
    silent.perform({ type: 'coordinator-timeout' });
    expect(silent.coordinator.state).toBe('aborted');
    expect(runToEnd(silent)).toEqual(['aborted', 'aborted']);
  });

  it('splits under the schedule of the lab', () => {
    const { states, diverged, steps } = runPartition();
    expect(states).toEqual(['committed', 'aborted', 'aborted']);
    expect(diverged).toBe(true);
    expect(steps.map(({ text }) => text)).toContain('arrives: precommit to branch 1');
    expect(steps.map(({ text }) => text)).not.toContain('arrives: precommit to branch 2');
  });
});
