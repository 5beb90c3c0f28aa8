import { invariant } from '@concordat/foundation';
import { UnsafeSystem } from '../../apps/lab/src/unsafe-3pc/index.js';
import { MachineTable } from './machine-table.js';
import type { Action, PackedState, Violation, World } from './world.js';

/**
 * The textbook's three-phase commit, with the lab's machines, which are wrong on purpose: messages arrive in any order,
 * late or never, and whoever waits may lose its patience at any time. The explorer must find that two branches end
 * differently.
 */
export class UnsafeThreePhaseWorld implements World {
  private readonly systems = new MachineTable<UnsafeSystem, undefined>({});
  private readonly start: number;

  constructor(branches: number) {
    this.start = this.systems.intern(new UnsafeSystem(new Array<boolean>(branches).fill(true)));
  }

  initial(): PackedState {
    return Int32Array.of(this.start);
  }

  actions(state: PackedState): readonly Action[] {
    return this.at(state)
      .actions()
      .map((_, ordinal) => ordinal);
  }

  apply([system = 0]: PackedState, action: Action): PackedState {
    const step = this.systems.step(
      system,
      action,
      (machine) => machine.perform(actionOf(machine, action)) as undefined,
    );
    return Int32Array.of(step.next);
  }

  fingerprint(state: PackedState): PackedState {
    return state;
  }

  check(state: PackedState): Violation | undefined {
    const system = this.at(state);
    if (!system.hasDiverged()) return undefined;
    return { rule: 'AC1', detail: `the branches have ended differently: ${system.states().join(', ')}` };
  }

  describe(state: PackedState, action: Action): string {
    const system = this.at(state);
    return system.describe(actionOf(system, action));
  }

  private at([system = 0]: PackedState): Readonly<UnsafeSystem> {
    return this.systems.at(system);
  }
}

function actionOf(system: Readonly<UnsafeSystem>, action: Action): ReturnType<UnsafeSystem['actions']>[number] {
  const chosen = system.actions()[action];
  invariant(chosen, 'an action is one of the state it is done in');
  return chosen;
}
