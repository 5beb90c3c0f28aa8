import { invariant } from '@concordat/foundation';
import { cloneGraph, keyOf, type FieldTreatments } from './machine-graph.js';

/** What a machine did with an event: the number of the state it is in now, and what came out. */
export interface Step<Output> {
  readonly next: number;
  readonly output: Output;
}

/**
 * The states that one kind of machine was met in, numbered from 0, each with one machine in that state, and what
 * each of them does with each event. The real machine runs once for a state and an event, on a copy; a model of a
 * million states needs only some thousand such runs, because machines meet the same events in the same states
 * again and again while the rest of the world differs.
 */
export class MachineTable<Machine extends object, Output = never> {
  private readonly numbers = new Map<string, number>();
  private readonly machines: Machine[] = [];
  private readonly keys: string[] = [];
  private readonly steps: (Step<Output> | undefined)[][] = [];

  constructor(private readonly treatments: FieldTreatments) {}

  /** Number of different states. */
  get size(): number {
    return this.machines.length;
  }

  /** The number of the state a machine is in. The machine belongs to the table from then on. */
  intern(machine: Machine): number {
    const key = keyOf(machine, this.treatments);
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const number = this.machines.length;
    this.numbers.set(key, number);
    this.machines.push(machine);
    this.keys.push(key);
    this.steps.push([]);
    return number;
  }

  /** A machine in a state; only to be looked at. */
  at(number: number): Readonly<Machine> {
    const machine = this.machines[number];
    invariant(machine, 'a state has the number that the table gave it');
    return machine;
  }

  /** The text that tells a state from all others. */
  keyAt(number: number): string {
    return this.keys[number] ?? '';
  }

  /** A machine in a state, to be changed. */
  copyOf(number: number): Machine {
    return cloneGraph(this.at(number) as Machine);
  }

  /**
   * What a machine in a state does with an event.
   *
   * @param event a small number that stands for this event and no other
   * @param run gives the event to the machine; called when this was not asked before
   */
  step(number: number, event: number, run: (machine: Machine) => Output): Step<Output> {
    const steps = this.steps[number];
    invariant(steps, 'a state has the number that the table gave it');
    const known = steps[event];
    if (known) return known;
    const machine = this.copyOf(number);
    const output = run(machine);
    const step = { next: this.intern(machine), output };
    steps[event] = step;
    return step;
  }
}
