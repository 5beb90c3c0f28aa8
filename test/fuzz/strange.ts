import { randomChance, randomInteger, randomItem, type JsonValue, type Random } from '@concordat/foundation';
import {
  MAXIMUM_ROUND,
  LIMITS,
  type Acceptor,
  type Ballot,
  type BranchError,
  type Decision,
} from '@concordat/commit-protocol';

/** Values that a schema lets through and nobody who keeps the rules would send. */

const CODES = ['INSUFFICIENT_FUNDS', 'LOCK_TIMEOUT', 'constructor', '__proto__', 'toString', 'hasOwnProperty', '!'];

export function strangeId(random: Random): string {
  const hex = (digits: number): string => random.uint32().toString(16).padStart(8, '0').slice(-digits);
  // of no time at all, of the year 1970, of today, of the year 10889
  const head = randomItem(random, [hex(8), '00000000', '019b7650', 'ffffffff']);
  return `${head}-${hex(4)}-${randomItem(random, ['4', '7', '7'])}${hex(3)}-8${hex(3)}-${hex(8)}${hex(4)}`;
}

export function strangeName(random: Random): string {
  return randomItem(random, ['stranger', 'bank-z', 'constructor', 'x', '0', 'a'.repeat(63), 'bank-a-', 'coordinator']);
}

export function strangeError(random: Random): BranchError {
  const message = randomItem(random, ['', 'no', '\u001b[2J\nALERT forged', 'x'.repeat(LIMITS.errorMessageLength)]);
  return { code: randomItem(random, CODES), message };
}

export function strangeResults(random: Random): JsonValue[] {
  const some: readonly JsonValue[] = [
    null,
    {},
    { __proto__: 1 },
    'x'.repeat(20_000),
    -0,
    1e308,
    [[[]]],
    { by: 'bank-a' },
  ];
  // long ones seldom: they cost the time of thousands of others
  if (!randomChance(random, 0.02)) return randomItem(random, [[], [null], [{}], [1, 2, 3]]);
  return Array.from({ length: randomInteger(random, 0, 3) }, () => randomItem(random, some));
}

export function strangeCount(random: Random): number {
  return randomItem(random, [0, 1, 7, 1_000, 2 ** 31 - 1, 2 ** 31, Number.MAX_SAFE_INTEGER]);
}

export function strangeBallot(random: Random): Ballot {
  const round = randomItem(random, [
    0,
    0,
    1,
    2,
    3,
    77,
    999_999,
    1_000_001,
    2_000_002,
    MAXIMUM_ROUND - 1,
    MAXIMUM_ROUND,
  ]);
  return { round, proposer: randomItem(random, [0, 0, 1, 2, 3, 4, 63, 64]) };
}

export function someDecision(random: Random): Decision {
  return randomItem(random, ['commit', 'abort']);
}

/** A set in which something is wrong: a stranger, somebody twice, somebody missing, another order. */
export function strangeAcceptors(random: Random, real: readonly Acceptor[]): Acceptor[] {
  const stranger: Acceptor = { branchId: strangeId(random), participant: strangeName(random) };
  const place = randomInteger(random, 0, real.length - 1);
  switch (randomInteger(random, 0, 5)) {
    case 0:
      return [...real, stranger];
    case 1:
      return [...real, real[place]!];
    case 2:
      return real.length > 1 ? real.filter((_, at) => at !== place) : [stranger];
    case 3:
      return real.length > 1 ? [...real.slice(1), real[0]!] : [stranger];
    case 4:
      return real.map((acceptor, at) => (at === place ? { ...acceptor, participant: stranger.participant } : acceptor));
    default:
      return [stranger];
  }
}
