import { describe, expect, it } from '@jest/globals';
import { Explorer, walk } from './explorer.js';
import { FingerprintTable } from './fingerprint-table.js';
import { cloneGraph, keyOf } from './machine-graph.js';
import { MachineTable } from './machine-table.js';
import { PackedQueue } from './packed-queue.js';
import type { Action, PackedState, Violation, World } from './world.js';

const SMALL_JUG = 3;
const LARGE_JUG = 5;

/** The puzzle of the two jugs: measure out 4 with jugs of 3 and 5. Its solution has six steps. */
class Jugs implements World {
  constructor(private readonly forbidden: number | undefined) {}

  initial(): PackedState {
    return Int32Array.of(0, 0);
  }

  actions(): readonly Action[] {
    return [0, 1, 2, 3, 4, 5];
  }

  apply([small = 0, large = 0]: PackedState, action: Action): PackedState {
    const toLarge = Math.min(small, LARGE_JUG - large);
    const toSmall = Math.min(large, SMALL_JUG - small);
    const next = [
      [SMALL_JUG, large],
      [small, LARGE_JUG],
      [0, large],
      [small, 0],
      [small - toLarge, large + toLarge],
      [small + toSmall, large - toSmall],
    ][action];
    return Int32Array.from(next ?? []);
  }

  fingerprint(state: PackedState): PackedState {
    return state;
  }

  check([, large]: PackedState): Violation | undefined {
    return large === this.forbidden ? { rule: 'jugs', detail: `the large jug holds ${large}` } : undefined;
  }

  describe(_state: PackedState, action: Action): string {
    return ['fill small', 'fill large', 'empty small', 'empty large', 'small to large', 'large to small'][action] ?? '';
  }
}

const now = (): number => 0;

describe('Explorer', () => {
  it('reaches every state once, and says that there are no others', () => {
    const report = new Explorer(new Jugs(undefined), { now }).explore();
    expect(report).toMatchObject({ states: 16, transitions: 96, complete: true, terminalStates: 0 });
  });

  it('finds a shortest way to what must not be, and the way can be walked again', () => {
    const { counterexample, complete } = new Explorer(new Jugs(4), { now }).explore();
    expect(complete).toBe(false);
    expect(counterexample?.steps).toEqual([
      'fill large',
      'large to small',
      'empty small',
      'large to small',
      'fill large',
      'large to small',
    ]);
    expect(walk(new Jugs(4), counterexample?.path ?? []).violation).toEqual(counterexample?.violation);
  });

  it('stops at its limits and says that it did', () => {
    expect(new Explorer(new Jugs(undefined), { now, limits: { depth: 2 } }).explore()).toMatchObject({
      depth: 2,
      complete: false,
    });
    const { states, complete } = new Explorer(new Jugs(undefined), { now, limits: { states: 5 } }).explore();
    expect(states).toBeGreaterThanOrEqual(5);
    expect(states).toBeLessThan(16);
    expect(complete).toBe(false);
  });

  it('checks the start, too', () => {
    const { counterexample } = new Explorer(new Jugs(0), { now }).explore();
    expect(counterexample?.steps).toEqual([]);
  });
});

describe('FingerprintTable', () => {
  it('holds exactly what was added, over many enlargements', () => {
    const table = new FingerprintTable();
    const count = 200_000;
    const addAll = (): number => {
      let added = 0;
      for (let value = 0; value < count; value++) if (table.add(Int32Array.of(value, -value, 7))) added++;
      return added;
    };
    expect(addAll()).toBe(count);
    expect(addAll()).toBe(0);
    expect(table.size).toBe(count);
    expect(table.has(Int32Array.of(1, -1, 7))).toBe(true);
    expect(table.has(Int32Array.of(1, -1, 7, 9), 3)).toBe(true);
    expect(table.has(Int32Array.of(1, -1))).toBe(false);
    expect(table.has(Int32Array.of(1, -1, 7, 0))).toBe(false);
  });
});

describe('PackedQueue', () => {
  it('gives states back in their order, across its chunks, while more are added', () => {
    const queue = new PackedQueue();
    let written = 0;
    let read = 0;
    const wrong: number[] = [];
    const push = (): void => queue.push(Int32Array.of(...new Array<number>(1 + (written % 50)).fill(0), written++));
    const shift = (): void => {
      const state = queue.shift();
      if (state.length !== 2 + (read % 50) || state.at(-1) !== read) wrong.push(read);
      read++;
    };
    for (let round = 0; round < 15_000; round++) {
      push();
      push();
      shift();
    }
    while (queue.size > 0) shift();
    expect(read).toBe(written);
    push();
    shift();
    expect(wrong).toEqual([]);
  });
});

class Counter {
  readonly seen = new Map<string, number>();
  alias = this.seen;
  last: string | undefined;

  count(name: string): number {
    this.last = name;
    const count = (this.seen.get(name) ?? 0) + 1;
    this.seen.set(name, count);
    return count;
  }
}

describe('machines in the model', () => {
  it('are copied with their class and what they share, and apart from the original', () => {
    const original = new Counter();
    original.count('a');
    const copy = cloneGraph(original);
    expect(copy).toBeInstanceOf(Counter);
    expect(copy.count('a')).toBe(2);
    expect(copy.alias.get('a')).toBe(2);
    expect(original.seen.get('a')).toBe(1);
  });

  it('have the same key exactly if they are in the same state, up to what is left out', () => {
    const one = new Counter();
    one.count('a');
    one.count('b');
    const other = new Counter();
    other.count('b');
    expect(keyOf(one, {})).not.toBe(keyOf(other, {}));
    other.count('a');
    expect(keyOf(one, {})).not.toBe(keyOf(other, {}));
    expect(keyOf(one, { last: 'ignored' })).toBe(keyOf(other, { last: 'ignored' }));
    expect(keyOf(one, { last: 'presence' })).toBe(keyOf(other, { last: 'presence' }));
    expect(keyOf({ a: undefined, b: [1] }, {})).toBe(keyOf({ b: [1] }, {}));
    expect(keyOf([{ branchId: 2 }, { branchId: 1 }], {})).toBe(keyOf([{ branchId: 1 }, { branchId: 2 }], {}));
    expect(keyOf([2, 1], {})).not.toBe(keyOf([1, 2], {}));
    expect(keyOf({ attempt: 3 }, { attempt: 'zero-or-more' })).toBe(keyOf({ attempt: 1 }, { attempt: 'zero-or-more' }));
  });

  it('run once for a state and an event, and what is remembered of them does not change', () => {
    const table = new MachineTable<Counter, number>({ last: 'ignored' });
    const start = table.intern(new Counter());
    let runs = 0;
    const step = (state: number): { next: number; output: number } =>
      table.step(state, 0, (machine) => {
        runs++;
        return machine.count('a');
      });
    const first = step(start);
    expect(step(start)).toBe(first);
    expect(runs).toBe(1);
    expect(step(first.next).output).toBe(2);
    expect(table.at(start).seen.size).toBe(0);
    expect(table.size).toBe(3);
  });
});
