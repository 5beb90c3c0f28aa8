import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';
import { HistoryRecorder, checkLinearizable, type Operation } from './index.js';
import { isMutation, mutated, observes, type RegisterState } from './register-model.js';

type Times = readonly [calledAt: number, returnedAt?: number];

const span = ([calledAt, returnedAt]: Times, process: number) => ({ process, key: 'x', calledAt, returnedAt });
const read = (output: string | undefined, ...times: Times): Operation => ({ ...span(times, 1), kind: 'read', output });
const write = (input: string, ...times: Times): Operation => ({ ...span(times, 2), kind: 'write', input });
const cas = (expected: string | undefined, input: string, ok: boolean, ...times: Times): Operation => ({
  ...span(times, 3),
  kind: 'cas',
  expected,
  input,
  ok,
});
const append = (input: string, output: string | undefined, ...times: Times): Operation => ({
  ...span(times, 4),
  kind: 'append',
  input,
  output,
});

const linearizable: Readonly<Record<string, readonly Operation[]>> = {
  'nothing happened': [],
  'a key begins without a value': [read(undefined, 1, 2)],
  'a read after a write sees it': [write('a', 1, 2), read('a', 3, 4)],
  'a read beside a write sees the value before': [write('a', 1, 2), write('b', 3, 6), read('a', 4, 5)],
  'a read beside a write sees the value after': [write('a', 1, 2), write('b', 3, 6), read('b', 4, 5)],
  'what touches is concurrent': [write('a', 1, 3), read(undefined, 3, 4)],
  'two writes at once, read in either order': [write('a', 1, 4), write('b', 1, 4), read('b', 5, 6)],
  'reads that see two writes at once, one after the other': [
    write('a', 1, 10),
    write('b', 1, 10),
    read('b', 2, 3),
    read('a', 4, 5),
  ],
  'a write without an answer happened': [write('a', 1), read('a', 2, 3)],
  'a write without an answer did not happen': [write('a', 1), read(undefined, 2, 3)],
  'a write without an answer happens much later': [write('a', 1), read(undefined, 2, 3), read('a', 4, 5)],
  'a write without an answer shows between two others': [
    write('late', 1),
    write('a', 2, 3),
    read('a', 4, 5),
    write('b', 6, 9),
    read('late', 7, 8),
    read('b', 10, 11),
  ],
  'a read without an answer says nothing': [write('a', 1, 2), read('never there', 3)],
  'of two compare-and-sets one wins': [cas(undefined, 'a', true, 1, 4), cas(undefined, 'b', false, 1, 4)],
  'a compare-and-set waits for its value': [write('a', 1, 6), cas('a', 'b', true, 2, 5), read('b', 7, 8)],
  'a compare-and-set without an answer happened': [write('a', 1, 2), cas('a', 'b', false, 3), read('b', 4, 5)],
  'a refusal that only an unanswered write explains': [write('a', 1, 2), write('b', 3), cas('a', 'c', false, 4, 5)],
  'unanswered mutations that build on each other': [
    write('a', 1),
    cas('a', 'b', true, 2),
    append('c', undefined, 3),
    read('bc', 4, 5),
  ],
  'appends add up': [append('a', 'a', 1, 2), append('b', undefined, 3, 4), read('ab', 5, 6)],
  'appends at once, in the order that a read saw': [
    append('a', undefined, 1, 9),
    append('b', undefined, 1, 9),
    append('c', 'bac', 1, 9),
    read('ba', 2, 8),
  ],
};

const violated: Readonly<Record<string, readonly Operation[]>> = {
  'a stale read': [write('a', 1, 2), write('b', 3, 4), read('a', 5, 6)],
  'a value out of nothing': [read('a', 1, 2)],
  'a value before its write': [read('a', 1, 2), write('a', 3, 4)],
  'a lost write': [write('a', 1, 2), read(undefined, 3, 4)],
  'the new value, then the old one': [write('a', 1, 2), write('b', 3, 10), read('b', 4, 5), read('a', 6, 7)],
  'two reads that see two writes in different orders, twice': [
    write('a', 1, 20),
    write('b', 1, 20),
    read('a', 2, 3),
    read('b', 4, 5),
    read('a', 6, 7),
  ],
  'an unanswered write that happens twice': [
    write('a', 1),
    read('a', 2, 3),
    write('b', 4, 5),
    read('b', 6, 7),
    read('a', 8, 9),
  ],
  'an unanswered write before its call': [read('a', 1, 2), write('a', 3)],
  'both compare-and-sets win': [cas(undefined, 'a', true, 1, 4), cas(undefined, 'b', true, 1, 4)],
  'a compare-and-set refused without a reason': [write('a', 1, 2), cas('a', 'b', false, 3, 4)],
  'an append that happened twice': [append('a', undefined, 1, 2), read('aa', 3, 4)],
  'a lost append': [append('a', undefined, 1, 2), append('b', 'b', 3, 4)],
  'appends in the wrong order': [append('a', undefined, 1, 2), append('b', undefined, 3, 4), read('ba', 5, 6)],
};

/** Every order, every choice of unanswered operations: right by its simplicity, for histories of up to 7. */
function bruteForce(operations: readonly Operation[], state?: RegisterState): boolean {
  if (operations.every(({ returnedAt }) => returnedAt === undefined)) return true;
  return operations.some((operation) => {
    const after = isMutation(operation) ? mutated(operation, state) : observes(operation, state) && { state };
    if (after === 'impossible' || after === false) return false;
    const others = operations.filter((other) => other !== operation);
    if (others.some(({ returnedAt }) => returnedAt !== undefined && returnedAt < operation.calledAt)) return false;
    return bruteForce(others, after.state);
  });
}

/** A few operations with few values, so that about as many histories are right as are wrong. */
function randomHistory(random: Random, count: number): Operation[] {
  const value = (): string => randomItem(random, ['a', 'b']);
  const seen = (): string | undefined => randomItem(random, [undefined, 'a', 'b', 'ab', 'ba']);
  return Array.from({ length: count }, () => {
    const calledAt = randomInteger(random, 0, 12);
    const returnedAt = randomChance(random, 0.25) ? undefined : calledAt + randomInteger(random, 0, 8);
    const common = { process: 1, key: 'x', calledAt, returnedAt };
    switch (randomItem(random, ['read', 'read', 'write', 'cas', 'append'] as const)) {
      case 'read':
        return { ...common, kind: 'read', output: seen() };
      case 'write':
        return { ...common, kind: 'write', input: value() };
      case 'cas':
        return { ...common, kind: 'cas', expected: seen(), input: value(), ok: randomChance(random, 0.5) };
      case 'append':
        return { ...common, kind: 'append', input: value(), output: randomChance(random, 0.5) ? seen() : undefined };
    }
  });
}

interface Client {
  readonly takeEffect: () => void;
  readonly answer: () => void;
  done: boolean;
}

/** Clients of a store that does one thing after another; with probability `stale` it answers an older value. */
function simulatedHistory(random: Random, options: { count: number; keys: number; clients: number; stale?: number }) {
  const store = new Map<string, string>();
  const recorder = new HistoryRecorder();
  const open: (Client | undefined)[] = Array.from({ length: options.clients }, () => undefined);
  let previous: string | undefined;
  const begin = (process: number): Client => {
    const key = `key ${randomInteger(random, 1, options.keys)}`;
    const input = String(randomInteger(random, 0, 1_000_000));
    const kind = randomItem(random, ['read', 'read', 'write', 'cas'] as const);
    const expected = randomChance(random, 0.7) ? store.get(key) : input;
    const call = kind === 'read' ? { kind } : kind === 'write' ? { kind, input } : { kind, expected, input };
    const operation = recorder.called({ process, key, ...call });
    let answer: { output?: string | undefined; ok?: boolean } = {};
    return {
      done: false,
      takeEffect: () => {
        const value = store.get(key);
        const ok = kind === 'write' || (kind === 'cas' && expected === value);
        answer = { output: options.stale !== undefined && randomChance(random, options.stale) ? previous : value, ok };
        if (ok) {
          previous = value;
          store.set(key, input);
        }
      },
      answer: () => operation.returned(answer),
    };
  };
  for (let operations = 0; operations < options.count;) {
    const process = randomInteger(random, 0, options.clients - 1);
    const client = open[process];
    if (!client) {
      open[process] = begin(process);
      operations++;
    } else if (!client.done) {
      client.done = true;
      if (randomChance(random, 0.99)) client.takeEffect();
      else open[process] = undefined; // lost before it took effect: it stays without an answer
    } else {
      if (randomChance(random, 0.99)) client.answer();
      open[process] = undefined;
    }
  }
  return recorder.history();
}

describe('checkLinearizable', () => {
  it.each(Object.entries(linearizable))('accepts: %s', (_name, history) => {
    expect(checkLinearizable(history)).toEqual({ linearizable: true });
    expect(bruteForce(history)).toBe(true);
  });

  it.each(Object.entries(violated))('finds: %s', (_name, history) => {
    expect(checkLinearizable(history)).toMatchObject({ linearizable: false, undecided: false, key: 'x' });
    expect(bruteForce(history)).toBe(false);
  });

  it('agrees with trying every order, for 20,000 small histories', () => {
    let right = 0;
    for (let seed = 1; seed <= 20_000; seed++) {
      const random = new SeededRandom(seed);
      const history = randomHistory(random, randomInteger(random, 2, 6));
      const expected = bruteForce(history);
      const { linearizable: found } = checkLinearizable(history);
      if (found !== expected)
        throw new Error(`seed ${seed}: ${found} instead of ${expected} for\n${JSON.stringify(history, null, 1)}`);
      if (expected) right++;
    }
    expect(right).toBeGreaterThan(2_000);
    expect(right).toBeLessThan(18_000);
  });

  it.each([
    { keys: 1, clients: 5 },
    { keys: 10, clients: 20 },
    { keys: 1, clients: 1 },
  ])('decides 10,000 operations within a small budget: $clients clients, $keys keys', ({ keys, clients }) => {
    const random = new SeededRandom(keys * 100 + clients);
    const right = simulatedHistory(random, { count: 10_000, keys, clients });
    expect(right.length).toBe(10_000);
    expect(checkLinearizable(right, { maximumSteps: 100_000 })).toEqual({ linearizable: true });
    const wrong = simulatedHistory(random, { count: 10_000, keys, clients, stale: 0.002 });
    expect(checkLinearizable(wrong)).toMatchObject({ linearizable: false, undecided: false });
  });

  it('decides thousands of appends of which many have no answer', () => {
    const recorder = new HistoryRecorder();
    let value = '';
    for (let number = 0; number < 2_000; number++) {
      const operation = recorder.called({ process: number % 5, key: 'x', kind: 'append', input: `${number};` });
      const lost = number % 10 === 0;
      if (!lost || number % 20 === 0) value += `${number};`;
      if (!lost) operation.returned({ output: value });
    }
    expect(checkLinearizable(recorder.history())).toEqual({ linearizable: true });
  });

  it('checks each key by itself, and names the one with the shortest history', () => {
    const stale = violated['a stale read'] ?? [];
    const long = [...stale, read('b', 7, 8)].map((operation) => ({ ...operation, key: 'long' }));
    const short = stale.map((operation) => ({ ...operation, key: 'short' }));
    expect(checkLinearizable([...long, read(undefined, 1, 9), ...short])).toMatchObject({ key: 'short' });
  });

  it('says what cannot be explained, and what went before', () => {
    const history = [write('a', 1, 2), write('b', 3), write('c', 4, 5), append('d', undefined, 6, 9), read('a', 7, 8)];
    const result = checkLinearizable(history);
    expect(result).toEqual({
      linearizable: false,
      undecided: false,
      key: 'x',
      explanation: [
        'key "x": no order of its 5 operations explains this answer:',
        '  process 1 read "a" [7 … 8]',
        'the value there could have been "c" or "cd"',
        'what went before, by the time of the call ("?": never answered, so it may have happened at any time or not):',
        '  process 2 wrote "a" [1 … 2]',
        '  process 2 wrote "b" [3 … ?]',
        '  process 2 wrote "c" [4 … 5]',
        '  process 4 appended "d" [6 … 9]',
        '->process 1 read "a" [7 … 8]',
      ].join('\n'),
    });
  });

  it('gives up after its budget, which is a failure with advice', () => {
    const writes = Array.from({ length: 14 }, (_, number) => append(String(number), undefined, 1, 90));
    const result = checkLinearizable([...writes, read('impossible', 2, 80)], { maximumSteps: 1_000 });
    expect(result).toMatchObject({ linearizable: false, undecided: true, key: 'x' });
    expect(result).toMatchObject({ explanation: expect.stringContaining('after 1000 steps it is undecided') });
  });

  it('refuses an operation that returns before it is called', () => {
    expect(() => checkLinearizable([read('a', 2, 1)])).toThrow('an operation is called before it returns');
  });
});

describe('HistoryRecorder', () => {
  it('keeps answered and unanswered operations in one order, and leaves out refused ones', () => {
    const recorder = new HistoryRecorder();
    const first = recorder.called({ process: 1, key: 'x', kind: 'write', input: 'a' });
    const second = recorder.called({ process: 2, key: 'x', kind: 'read' });
    const third = recorder.called({ process: 3, key: 'x', kind: 'cas', expected: 'a', input: 'b' });
    first.returned();
    third.refused();
    second.returned({ output: 'a' });
    recorder.called({ process: 4, key: 'y', kind: 'append', input: 'c' });
    expect(recorder.history()).toEqual([
      { process: 1, key: 'x', kind: 'write', input: 'a', calledAt: 1, returnedAt: 4 },
      { process: 2, key: 'x', kind: 'read', output: 'a', calledAt: 2, returnedAt: 5 },
      { process: 4, key: 'y', kind: 'append', input: 'c', output: undefined, calledAt: 6, returnedAt: undefined },
    ]);
    expect(() => first.returned()).toThrow('an operation ends once');
  });
});
