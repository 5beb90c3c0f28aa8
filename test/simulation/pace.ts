import { randomInteger, randomItem, type SeededRandom } from '@concordat/foundation';
import type { ParticipantLimits } from '@concordat/participant';
import type { TransactionOptions } from '../../apps/coordinator/src/index.js';

export const FAMILIES = ['storm', 'endurance', 'refounded', 'locks'] as const;

/**
 * A storm is half a minute in which everything happens at once. Endurance is two hours of a system that has little
 * to do and much time: outages that last longer than the retention, members that come back after minutes, messages
 * that were long on their way, and calm in between, in which everything must end. Refounded is a storm over a group that
 * is new because an earlier one lost all its data, and finds prepared what that one had begun. Locks is a storm with
 * clients that take locks beside the others.
 */
export type Family = (typeof FAMILIES)[number];

/** How fast the things of a run follow one another; all times in milliseconds. */
export interface Pace {
  readonly family: Family;
  readonly raft: { readonly tickMs: number; readonly electionTicks: number; readonly heartbeatTicks: number };
  readonly coordinator: Partial<TransactionOptions>;
  readonly participant: Partial<ParticipantLimits>;
  readonly sessionTimeoutMs: number;
  readonly lockTimeoutMs: number;
  /** how often faults and calm take turns */
  readonly rounds: number;
  readonly faultyMs: number;
  /** healed, and with clients that go on, nothing that was there before may be left after it */
  readonly calmMs: number;
  /** without clients everything must have ended within it */
  readonly livenessMs: number;
  /** between two looks of the fault injector */
  readonly faultIntervalMs: readonly [number, number];
  /** how much longer than in a storm whatever is broken stays so */
  readonly outageFactor: number;
  /** how much longer than in a storm clients wait: for answers, before they repeat, and until their deadlines */
  readonly patienceFactor: number;
  readonly thinkMs: readonly [number, number];
  /** wishes of each client in each round */
  readonly intentsPerRound: readonly [number, number];
  readonly longestDelayMs: number;
  /** between two looks of an operator */
  readonly operatorPauseMs: readonly [number, number];
  /** the whole states of the nodes are compared at every so many-th index of the log */
  readonly comparedEvery: number;
}

const STORM: Pace = {
  family: 'storm',
  raft: { tickMs: 50, electionTicks: 10, heartbeatTicks: 1 },
  coordinator: { resendBaseMs: 200, resendCapMs: 2_000, instanceGraceMs: 1_000 },
  participant: {
    announceIntervalMs: 2_000,
    sweepIntervalMs: 1_000,
    inquiryAfterMs: 1_000,
    rememberedTransactions: 16,
    workConcurrency: 4,
    workQueue: 16,
    preparedBranches: 8,
    decisionConcurrency: 3,
    terminationTimeoutMs: 900,
  },
  sessionTimeoutMs: 300,
  lockTimeoutMs: 800,
  rounds: 1,
  faultyMs: 20_000,
  calmMs: 0,
  livenessMs: 60_000,
  faultIntervalMs: [20, 200],
  outageFactor: 1,
  patienceFactor: 1,
  thinkMs: [50, 600],
  intentsPerRound: [5, 9],
  longestDelayMs: 400,
  operatorPauseMs: [20, 300],
  comparedEvery: 16,
};

const ENDURANCE_ROUNDS = 6;
/** As long as a round: in its calm every client hears of its wish, so that none repeats a key that is forgotten. */
const RETENTION_MS = 20 * 60_000;

/** Production's settings but for the ticks, which make an idle hour affordable, and the retention. */
function drawEndurance(random: SeededRandom): Pace {
  return {
    family: 'endurance',
    raft: { tickMs: randomItem(random, [500, 1_000]), electionTicks: randomInteger(random, 5, 10), heartbeatTicks: 2 },
    coordinator: { retentionMs: RETENTION_MS, retentionIntervalMs: 60_000 },
    participant: { announceIntervalMs: 60_000, sweepIntervalMs: 10_000 },
    sessionTimeoutMs: 10_000,
    lockTimeoutMs: 5_000,
    rounds: ENDURANCE_ROUNDS,
    faultyMs: 15 * 60_000,
    calmMs: 5 * 60_000,
    livenessMs: 10 * 60_000,
    faultIntervalMs: [2_000, 30_000],
    outageFactor: randomItem(random, [10, 30, 100]),
    patienceFactor: 10,
    thinkMs: [30_000, 180_000],
    intentsPerRound: [10, 20],
    longestDelayMs: 30_000,
    operatorPauseMs: [5_000, 60_000],
    comparedEvery: 256,
  };
}

const REFOUNDED: Pace = { ...STORM, family: 'refounded' };
const LOCKS: Pace = { ...STORM, family: 'locks' };

/** Every so many-th seed is one of endurance, of a group founded anew, or of locks; odd numbers, so that two workers get as many. */
const ENDURANCE_EVERY = 7;
const REFOUNDED_EVERY = 13;
const LOCKS_EVERY = 11;

export function familyOf(seed: number): Family {
  if (seed % ENDURANCE_EVERY === 0) return 'endurance';
  if (seed % REFOUNDED_EVERY === 0) return 'refounded';
  return seed % LOCKS_EVERY === 0 ? 'locks' : 'storm';
}

export function drawPace(family: Family, random: SeededRandom): Pace {
  switch (family) {
    case 'storm':
      return STORM;
    case 'refounded':
      return REFOUNDED;
    case 'locks':
      return LOCKS;
    case 'endurance':
      return drawEndurance(random);
  }
}
