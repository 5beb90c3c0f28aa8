import { describe, expect, it } from '@jest/globals';
import { JsonTooLargeError, NotJsonError, toJsonText } from './json-text.js';

const LIMITS = { depth: 4, sizeBytes: 1_000 };
const textOf = (value: unknown): string => toJsonText(value, LIMITS);

function complaintAbout(value: unknown): string {
  try {
    return `written: ${textOf(value)}`;
  } catch (error) {
    if (error instanceof NotJsonError || error instanceof JsonTooLargeError) return error.message;
    throw error;
  }
}

const cycle: { self?: unknown } = {};
cycle.self = { cycle };

describe('JSON text of a value from foreign code', () => {
  it.each([
    [null],
    [true],
    [0],
    [-1.5e-7],
    [1e308],
    ['Zoë "quoted" \n 🦊'],
    [[]],
    [{}],
    [[1, [2, [3]]]],
    [{ a: { b: [null, 'c'] }, d: new Date(0) }],
    [{ left: undefined, out: 1 }],
    [[new Date(1)]],
    [new Number(7)],
    [new String('boxed')],
    [{ toJSON: () => ({ toJSON: 1, b: 2 }) }],
    [JSON.parse('{"__proto__":{"a":1},"constructor":2}')],
    [Object.assign(Object.create({ inherited: 1 }) as object, { own: 2 })],
    [Buffer.from('ab')],
    [-0],
  ])('of %p is what JSON.stringify says', (value) => {
    expect(textOf(value)).toBe(JSON.stringify(value));
  });

  it('shows a value twice that stands in two places', () => {
    const shared = { a: 1 };
    expect(textOf([shared, shared])).toBe('[{"a":1},{"a":1}]');
  });

  it.each([
    [NaN, 'the value is NaN'],
    [{ balance: Infinity }, 'balance is Infinity'],
    [[1, -Infinity], '[1] is -Infinity'],
    [undefined, 'the value is undefined'],
    [[undefined], '[0] is undefined'],
    [[1, , 3], '[1] is undefined'], // oxlint-disable-line no-sparse-arrays -- the point
    [{ toJSON: () => [() => 1] }, '[0] is a function'],
    [{ a: () => 1 }, 'a is a function'],
    [{ a: Symbol('s') }, 'a is a symbol'],
    [{ a: { b: 10n } }, 'a.b is a bigint'],
    [cycle, 'self.cycle contains itself'],
    [[[[[1]]]].concat([[[[[1]]]]] as never), '[1][0][0][0] is nested more than 4 deep'],
    [{ m: new Map([[1, 2]]) }, 'm is a Map, which JSON would show as empty'],
    [new Set([1]), 'the value is a Set, which JSON would show as empty'],
    [Promise.resolve(1), 'the value is a Promise, which JSON would show as empty'],
    [new Error('e'), 'the value is a Error, which JSON would show as empty'],
    [new Uint8Array(2), 'the value is a Uint8Array, which JSON would show as empty'],
    [{ a: 'x\ud800' }, 'a contains NUL or a lone surrogate'],
    [['\0'], '[0] contains NUL or a lone surrogate'],
    [{ 'k\udc00': 1 }, 'k\\udc00 contains NUL or a lone surrogate'],
    [{ toJSON: () => 'a\0' }, 'the value contains NUL or a lone surrogate'],
    ['x'.repeat(999), 'the JSON has more than 1000 bytes'],
    ['é'.repeat(500), 'the JSON has more than 1000 bytes'],
    [new Array(1e6).fill(1), 'the JSON has more than 1000 bytes'],
  ])('refuses %p', (value, complaint) => {
    expect(complaintAbout(value)).toBe(complaint);
  });

  it.each([
    ['a getter', Object.defineProperty({}, 'a', { enumerable: true, get: fail }), 'a cannot be read: it throws'],
    ['toJSON', { b: { toJSON: fail } }, 'b cannot be read: it throws'],
    ['a getter of toJSON', [Object.defineProperty({}, 'toJSON', { get: fail })], '[0] cannot be read: it throws'],
    ['a proxy', { p: new Proxy({}, { ownKeys: fail }) }, 'p cannot be read: it throws'],
    ['a revoked proxy', revoked(), 'the value cannot be read: it throws'],
  ])('refuses %s that throws', (_name, value, complaint) => {
    expect(complaintAbout(value)).toBe(complaint);
  });

  it('reads every property once, and takes the answer that it gave then', () => {
    let reads = 0;
    const value = Object.defineProperty({}, 'a', { enumerable: true, get: () => (reads++ === 0 ? 1 : NaN) });
    expect(textOf(value)).toBe('{"a":1}');
    expect(reads).toBe(1);
  });

  it('names a place by steps that fit', () => {
    expect(complaintAbout({ ['n'.repeat(200)]: NaN }).length).toBeLessThan(100);
  });
});

function fail(): never {
  throw new TypeError('foreign');
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
