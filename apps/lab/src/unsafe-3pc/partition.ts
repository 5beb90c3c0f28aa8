import type { UnsafeMessage } from './messages.js';
import type { UnsafeParticipantState } from './unsafe-participant.js';
import { UnsafeSystem, type UnsafeAction } from './unsafe-system.js';

/** An event in words, and the states after it. */
export interface PartitionStep {
  readonly phase: 'vote' | 'cut' | 'timeout';
  readonly text: string;
}

export interface PartitionResult {
  readonly steps: readonly PartitionStep[];
  readonly states: readonly UnsafeParticipantState[];
  readonly diverged: boolean;
}

/**
 * The fixed schedule of `unsafe-3pc`, and of the model's `--schedule partition`: three branches vote yes and the
 * coordinator pre-commits; the network is cut, with the coordinator and branch 1 on one side; only the precommit of
 * branch 1 arrives; the coordinator dies; then branches 1, 2 and 3 time out.
 */
export function runPartition(): PartitionResult {
  const system = new UnsafeSystem([true, true, true]);
  const steps: PartitionStep[] = [];
  const perform = (phase: PartitionStep['phase'], action: UnsafeAction): void => {
    const text = system.describe(action);
    system.perform(action);
    const led =
      action.type === 'participant-timeout' ? `, and decides alone: ${system.states()[action.branch] ?? ''}` : '';
    steps.push({ phase, text: `${text}${led}` });
  };
  const deliverAll = (phase: PartitionStep['phase'], mayArrive: (message: UnsafeMessage) => boolean): void => {
    for (let message = system.messages.find(mayArrive); message; message = system.messages.find(mayArrive)) {
      perform(phase, { type: 'deliver', message });
    }
  };
  deliverAll('vote', ({ type }) => type !== 'precommit');
  deliverAll('cut', (message) => 'to' in message && message.to === 0);
  for (const branch of [0, 1, 2]) perform('timeout', { type: 'participant-timeout', branch });
  return { steps, states: system.states(), diverged: system.hasDiverged() };
}
