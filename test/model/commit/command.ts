import type { Protocol, Vote } from '@concordat/commit-protocol';
import { BOUND_NAMES, DEFAULT_BOUNDS, INCLINATIONS, STARTS, type Bounds, type CommitOptions } from './options.js';

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
  deadlines: 'deadlines',
  terminations: 'terminations',
  endingsByHand: 'endings-by-hand',
  amnesias: 'amnesias',
} as const satisfies Record<keyof Bounds, string>;

const PROTOCOLS: readonly Protocol[] = ['2pc', '3pc'];

export const OPTION_NAMES = [
  'protocol',
  'branches',
  'start',
  'instant',
  'dones',
  'answers',
  'states',
  'depth',
  'mistake',
  'replay',
  'schedule',
] as const;

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
  const protocol = readWord('protocol', PROTOCOLS, texts['protocol'] ?? '2pc');
  const branches = readInteger('branches', texts['branches'] ?? '2');
  if (branches < 1 || branches > 3) throw new TypeError('--branches is 1, 2 or 3');
  const bounds: { -readonly [Name in keyof Bounds]: number } = { ...DEFAULT_BOUNDS };
  for (const name of BOUND_NAMES) {
    const option = BOUND_OPTIONS[name];
    const text = texts[option];
    if (text !== undefined) bounds[name] = text === 'any' ? Infinity : readInteger(option, text);
  }
  if (protocol === '3pc' && bounds.endingsByHand > 0) {
    throw new TypeError('--endings-by-hand is for --protocol 2pc: in 3pc the model has no operators');
  }
  const start = readWord('start', STARTS, texts['start'] ?? 'begin');
  const instantBranches = readWord('instant', ['yes', 'no'], texts['instant'] ?? 'no') === 'yes';
  const donesLost = readWord('dones', ['arrive', 'lost'], texts['dones'] ?? 'arrive') === 'lost';
  if (instantBranches && (bounds.participantCrashes > 0 || bounds.brokenConnections > 0)) {
    throw new TypeError('--instant yes needs --crashes 0 and --broken-connections 0');
  }
  return { protocol, branches, inclinations: readAnswers(texts['answers']), bounds, start, instantBranches, donesLost };
}

function readWord<Word extends string>(name: string, words: readonly Word[], text: string): Word {
  const word = words.find((candidate) => candidate === text);
  if (word === undefined) throw new TypeError(`--${name} is one of ${words.join(', ')}, and not "${text}"`);
  return word;
}

function readAnswers(text: string | undefined): readonly Vote[] {
  if (text === undefined) return INCLINATIONS;
  return text.split(',').map((word) => readWord('answers', INCLINATIONS, word));
}

/** The command that explores the same world again, whatever the defaults are. */
export function commandFor(options: CommitOptions, mistake?: number): string {
  const { protocol, branches, inclinations, bounds, start, instantBranches, donesLost } = options;
  const parts = [`npm run model -- --protocol ${protocol} --branches ${branches} --answers ${inclinations.join(',')}`];
  for (const name of BOUND_NAMES) {
    if (bounds[name] === DEFAULT_BOUNDS[name]) continue;
    parts.push(`--${BOUND_OPTIONS[name]} ${bounds[name] === Infinity ? 'any' : bounds[name]}`);
  }
  if (start !== undefined && start !== 'begin') parts.push(`--start ${start}`);
  if (instantBranches === true) parts.push('--instant yes');
  if (donesLost === true) parts.push('--dones lost');
  if (mistake !== undefined) parts.push(`--mistake ${mistake}`);
  return parts.join(' ');
}
