import type { Vote } from '@concordat/commit-protocol';
import { BOUND_NAMES, DEFAULT_BOUNDS, INCLINATIONS, type Bounds, type CommitOptions } from './options.js';

/** The names of the bounds on the command line. */
export const BOUND_OPTIONS = {
  leaderDeaths: 'leader-deaths',
  depositions: 'depositions',
  participantCrashes: 'crashes',
  brokenConnections: 'broken-connections',
  failedProposals: 'failed-proposals',
  duplicates: 'duplicates',
  resends: 'resends',
  inquiries: 'inquiries',
  endingsByHand: 'endings-by-hand',
} as const satisfies Record<keyof Bounds, string>;

export const OPTION_NAMES = ['branches', 'answers', 'states', 'depth', 'mistake', 'replay'] as const;

/** What was given on the command line, by the name of the option. */
export type OptionTexts = Readonly<Record<string, string | undefined>>;

/** @throws TypeError with a sentence about what cannot be understood */
export function readInteger(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new TypeError(`--${name} is a whole number, not "${text}"`);
  }
  return value;
}

/** @throws TypeError with a sentence about what cannot be understood */
export function readWorld(texts: OptionTexts): Omit<CommitOptions, 'parts'> {
  const branches = readInteger('branches', texts['branches'] ?? '2');
  if (branches < 1 || branches > 3) throw new TypeError('--branches is 1, 2 or 3');
  const bounds: { -readonly [Name in keyof Bounds]: number } = { ...DEFAULT_BOUNDS };
  for (const name of BOUND_NAMES) {
    const option = BOUND_OPTIONS[name];
    const text = texts[option];
    if (text !== undefined) bounds[name] = text === 'any' ? Infinity : readInteger(option, text);
  }
  return { branches, inclinations: readAnswers(texts['answers']), bounds };
}

function readAnswers(text: string | undefined): readonly Vote[] {
  if (text === undefined) return INCLINATIONS;
  return text.split(',').map((word) => {
    const vote = INCLINATIONS.find((known) => known === word);
    if (!vote) throw new TypeError(`--answers is a list of ${INCLINATIONS.join(', ')}, and has "${word}"`);
    return vote;
  });
}

/** The command that explores the same world again, whatever the defaults are. */
export function commandFor({ branches, inclinations, bounds }: CommitOptions, mistake?: number): string {
  const parts = [`npm run model -- --branches ${branches} --answers ${inclinations.join(',')}`];
  for (const name of BOUND_NAMES) {
    if (bounds[name] === DEFAULT_BOUNDS[name]) continue;
    parts.push(`--${BOUND_OPTIONS[name]} ${bounds[name] === Infinity ? 'any' : bounds[name]}`);
  }
  if (mistake !== undefined) parts.push(`--mistake ${mistake}`);
  return parts.join(' ');
}
