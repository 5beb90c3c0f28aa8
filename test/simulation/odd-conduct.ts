import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';
import { BranchRefusedError } from '@concordat/participant';

/** What a handler does, and what must become of its branch. */
export interface Conduct {
  /** gives the result, or throws */
  readonly act: () => unknown;
  readonly writes: boolean;
  /** the code of the refusal; undefined when the branch can commit */
  readonly refusal?: string;
}

const NOT_JSON: readonly (() => unknown)[] = [
  () => NaN,
  () => -Infinity,
  () => 12n,
  () => (): number => 1,
  () => Symbol('odd'),
  () => 'half \ud83e',
  () => 'NUL \0',
  () => new Map([[1, 2]]),
  () => new Set([1]),
  () => new Uint8Array(3),
  () => [Promise.resolve(1)],
  () => new Error('as a result'),
  () => new Array(3),
  () => [undefined],
  () => ({ 'half \udc00': 1 }),
  () => ({ toJSON: throwOdd }),
  () => ({ toJSON: () => NaN }),
  () => Object.defineProperty({}, 'getter', { enumerable: true, get: throwOdd }),
  () => new Proxy({}, { ownKeys: throwOdd }),
  () => new Date(NaN).getTime(),
  () => {
    const cycle: { self?: unknown } = {};
    cycle.self = { cycle };
    return cycle;
  },
  () => nested(80),
];

const TOO_LARGE: readonly (() => unknown)[] = [
  () => 'x'.repeat(65_536),
  () => '🦊'.repeat(17_000),
  () => '"'.repeat(33_000),
  () => new Array(40_000).fill(0),
  () => ({ ['k'.repeat(66_000)]: 1 }),
];

const SOUND: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => -0,
  () => 0.1,
  () => 2 ** 53,
  () => '',
  () => 'Zoë 🦊 \n "quoted" \u2028',
  () => new Date(0),
  () => ({ left: undefined, kept: 1 }),
  () => Object.create(null) as object,
  () => JSON.parse('{"__proto__":{"a":1},"constructor":{}}') as object,
  () => new Number(3),
  () => Buffer.from('bytes'),
  () => nested(60),
  () => 'x'.repeat(2_000),
];

/** What is thrown that is no refusal. */
const THROWN: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => 'a text',
  () => 7,
  () => Object.create(null) as object,
  () => new Error('x'.repeat(100_000)),
  () => Object.defineProperty(new Error('odd'), 'message', { get: throwOdd }),
  () => Object.defineProperty(new Error('odd'), 'code', { get: throwOdd }),
  () => Object.assign(new Error('odd'), { code: 'NOT_A_REFUSAL' }),
  () => new Proxy({}, { get: throwOdd, getPrototypeOf: throwOdd }),
  () => new AggregateError([], 'none'),
];

const CODES = ['INSUFFICIENT_FUNDS', 'no', 'a.b-c', '__proto__', 'constructor', '1'];
const BAD_CODES = ['', ' ', 'TWO WORDS', 'X'.repeat(65), 'X'.repeat(10_000), 'NUL\0', 'HALF\ud800', 'É'];
const TEXTS = [
  '',
  'no money',
  'x'.repeat(9_000),
  `${'x'.repeat(2_047)}🦊`,
  'half \udc00',
  'NUL \0',
  '\u001b[2J\nforged',
];

/** A conduct that a seed stands for: the same for every attempt at the branch. */
export function conductOf(random: Random): Conduct {
  const writes = randomChance(random, 0.8);
  // large ones seldom: they cost the time of hundreds of others
  const isLarge = randomChance(random, 0.02);
  const kind = isLarge ? 7 : randomItem(random, [0, 0, 0, 0, 1, 1, 1, 8, 9]);
  if (kind === 0) return { writes, act: wrapped(random, randomItem(random, SOUND)) };
  if (kind === 1) return { writes, act: wrapped(random, randomItem(random, NOT_JSON)), refusal: 'RESULT_NOT_JSON' };
  if (kind === 7) return { writes, act: wrapped(random, randomItem(random, TOO_LARGE)), refusal: 'RESULT_TOO_LARGE' };
  if (kind === 8) {
    const thrown = randomItem(random, THROWN);
    return { writes, act: () => throwValue(thrown()), refusal: 'HANDLER_FAILED' };
  }
  const isBad = randomChance(random, 0.5);
  const code = randomItem(random, isBad ? BAD_CODES : CODES);
  const text = randomItem(random, TEXTS);
  return {
    writes,
    act: () => throwValue(new BranchRefusedError(code, text)),
    refusal: isBad ? 'INVALID_ERROR_CODE' : code,
  };
}

/** The value by itself or somewhere inside another one; never where a field that is undefined is left out. */
function wrapped(random: Random, make: () => unknown): () => unknown {
  switch (randomInteger(random, 0, 2)) {
    case 0:
      return make;
    case 1:
      return () => [1, { deep: [make() ?? null] }];
    default:
      return () => ({ balance: 10, inner: make() ?? null });
  }
}

/** Arrays inside each other, so many levels of them. */
export function nested(depth: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < depth; level++) value = [value];
  return value;
}

function throwOdd(): never {
  throw new TypeError('odd');
}

function throwValue(value: unknown): never {
  throw value;
}
