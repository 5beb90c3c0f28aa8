import { SeededRandom, randomChance, randomItem, type JsonValue } from '@concordat/foundation';
import { LIMITS, type OperationCall } from '@concordat/commit-protocol';
import type { BranchRequest } from '../../apps/coordinator/src/index.js';
import { conductOf, nested } from './odd-conduct.js';

/** What is odd about one operation. It travels in its payload, so that every attempt at the branch does the same. */
const ODDITIES = [
  /** the handler returns or throws whatever the number stands for */
  'conduct',
  'largest-result',
  'too-large-result',
  'deepest-result',
  'too-deep-result',
  /** the handler never settles */
  'hangs',
  /** the handler settles, and writes, when it has long been given up */
  'settles-late',
  'unknown-field',
  'largest-payload',
  'too-large-payload',
  /** each operation fits, and all of them together do not */
  'too-much-work',
  'deepest-payload',
  'too-deep-payload',
  /** a text or a field's name with NUL or a half of a surrogate pair */
  'inexact-payload',
  /** a number that not every reader of JSON takes for the same */
  'rounded-payload',
] as const;

export type OddityKind = (typeof ODDITIES)[number];

export interface Oddity {
  readonly kind: OddityKind;
  readonly seed: number;
}

/** Kinds by how often they are drawn: what is large costs the time of a hundred others. */
const SELDOM: readonly OddityKind[] = ['largest-result', 'largest-payload', 'too-much-work'];
const OFTEN: readonly OddityKind[] = [
  'conduct',
  'conduct',
  'conduct',
  'conduct',
  'conduct',
  'conduct',
  'conduct',
  'too-large-result',
  'deepest-result',
  'too-deep-result',
  'hangs',
  'settles-late',
  'unknown-field',
  'too-large-payload',
  'deepest-payload',
  'too-deep-payload',
  'inexact-payload',
  'rounded-payload',
];

/** The text `[…]` around a result that is the only one of its branch, and its quotes. */
const BRACKETS_BYTES = 4;
/** Room for what the other operations of a branch return. */
const OTHERS_BYTES = 512;
const LONG_FIELD = 'k'.repeat(9_000);
/** As many as make a transaction too large although each of them fits. */
const TOO_MANY = Math.floor(LIMITS.operationsBytes / LIMITS.payloadBytes) + 1;

/** Of a payload: the body, its list of branches, the branch and the payload itself stand around what is nested. */
const LEVELS_OF_BODY = 4;
const INEXACT_TEXTS = ['NUL \0', 'half \ud83e', '\udc00 half', 'turned round \udd8a\ud83e'];

/** With which code no coordinator begins it. */
const REFUSED_BEFORE: Readonly<Partial<Record<OddityKind, string>>> = {
  'too-large-payload': 'PAYLOAD_TOO_LARGE',
  'too-much-work': 'PAYLOAD_TOO_LARGE',
  'too-deep-payload': 'NESTED_TOO_DEEPLY',
  'inexact-payload': 'INVALID_TEXT',
  'rounded-payload': 'INVALID_NUMBER',
};

/** With which code the branch votes no. */
const REFUSALS: Readonly<Partial<Record<OddityKind, string>>> = {
  'too-large-result': 'RESULT_TOO_LARGE',
  'too-deep-result': 'RESULT_NOT_JSON',
  hangs: 'HANDLER_TIMEOUT',
  'settles-late': 'HANDLER_TIMEOUT',
  'unknown-field': 'INVALID_PAYLOAD',
};

/** Whether, and how, the wishes of one client are odd. It has a randomness of its own: the others stay what they are. */
export class OddWishes {
  /** @param share of the wishes that have one odd operation */
  constructor(
    private readonly random: SeededRandom,
    private readonly share: number,
  ) {}

  /** What is asked for in the place of these branches; `refusal` is the code with which no coordinator begins it. */
  drawn(branches: readonly BranchRequest[]): { branches: readonly BranchRequest[]; isOdd: boolean; refusal?: string } {
    const { random, share } = this;
    if (share === 0 || !randomChance(random, share)) return { branches, isOdd: false };
    const kind = randomItem(random, randomChance(random, 0.03) ? SELDOM : OFTEN);
    const odd = randomItem(random, branches);
    const changed = changedBy({ kind, seed: random.uint32() }, odd);
    const refusal = REFUSED_BEFORE[kind] !== undefined && { refusal: REFUSED_BEFORE[kind] };
    const isTooMuch = kind === 'too-much-work';
    const asked = isTooMuch
      ? new Array<BranchRequest>(TOO_MANY).fill(changed)
      : branches.map((branch) => (branch === odd ? changed : branch));
    return { branches: asked, isOdd: true, ...refusal };
  }
}

function changedBy(oddity: Oddity, branch: BranchRequest): BranchRequest {
  const payload = { ...(branch.payload as Record<string, JsonValue>), odd: { ...oddity } };
  return { ...branch, payload: { ...payload, ...addedBy(oddity, payload) } };
}

/** What the payload has more than others. */
function addedBy({ kind, seed }: Oddity, payload: JsonValue): Readonly<Record<string, JsonValue>> {
  switch (kind) {
    case 'unknown-field':
      return { [LONG_FIELD]: 1 };
    case 'largest-payload':
    case 'too-much-work':
      return { padding: paddingOf(payload, LIMITS.payloadBytes) };
    case 'too-large-payload':
      return { padding: paddingOf(payload, LIMITS.payloadBytes + 1) };
    case 'deepest-payload':
      return { padding: nested(LIMITS.jsonDepth - LEVELS_OF_BODY) as JsonValue };
    case 'too-deep-payload':
      return { padding: nested(LIMITS.jsonDepth) as JsonValue };
    case 'rounded-payload':
      return { padding: seed % 2 === 0 ? 2 ** 53 : -1e300 };
    case 'inexact-payload': {
      const text = INEXACT_TEXTS[seed % INEXACT_TEXTS.length]!;
      return seed % 3 === 0 ? { padding: { [text]: 1 } } : { padding: [text] };
    }
    default:
      return {};
  }
}

function paddingOf(payload: JsonValue, bytes: number): string {
  return 'x'.repeat(bytes - Buffer.byteLength(JSON.stringify({ ...(payload as object), padding: '' })));
}

/** The first field that no operation has. */
export function unknownField(payload: JsonValue): string | undefined {
  return Object.keys(payload as object).find((name) => name === LONG_FIELD);
}

export function oddityOf({ payload }: Pick<OperationCall, 'payload'>): Oddity | undefined {
  return (payload as unknown as { readonly odd?: Oddity }).odd;
}

/** With which code the operation makes its branch vote no; undefined when it can commit. */
export function refusalOf(call: Pick<OperationCall, 'payload'>): string | undefined {
  const oddity = oddityOf(call);
  if (oddity?.kind !== 'conduct') return oddity && REFUSALS[oddity.kind];
  return conductOf(new SeededRandom(oddity.seed)).refusal;
}

/** What an odd handler returns, unless it throws or hangs. @param wait for what is late by any measure */
export async function actOddly({ kind, seed }: Oddity, wait: () => Promise<void>): Promise<unknown> {
  switch (kind) {
    case 'conduct':
      return conductOf(new SeededRandom(seed)).act();
    case 'largest-result':
      return 'x'.repeat(LIMITS.resultsBytes - BRACKETS_BYTES - OTHERS_BYTES);
    case 'too-large-result':
      return 'x'.repeat(LIMITS.resultsBytes - BRACKETS_BYTES + 1);
    case 'deepest-result':
      return nested(LIMITS.jsonDepth);
    case 'too-deep-result':
      return nested(LIMITS.jsonDepth + 1);
    case 'hangs':
      return new Promise(() => undefined);
    case 'settles-late':
      return wait();
    default:
      return null;
  }
}

/** What must be kept of the result of an operation that can commit, where it is known beforehand. */
export function expectedResult(call: Pick<OperationCall, 'payload'>): JsonValue | undefined {
  const oddity = oddityOf(call);
  if (oddity?.kind !== 'conduct' || refusalOf(call) !== undefined) return undefined;
  const value = conductOf(new SeededRandom(oddity.seed)).act() ?? null;
  return JSON.parse(JSON.stringify(value)) as JsonValue;
}
