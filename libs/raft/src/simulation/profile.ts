import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';
import type { CoreLimits } from '../core/raft-core.types.js';
import type { Weather } from './simulated-network.js';

/** Scenario families: each seed belongs to one, so every fourteen seeds cover all of them. */
export const FAMILIES = [
  'mixed',
  'elections',
  'membership',
  'reads',
  'snapshots',
  'storage',
  'endurance',
  'figure-8',
  'leases',
  'churn',
  'segments',
  'transfers',
  'mixed-3',
  'forgetful',
] as const;

export type Family = (typeof FAMILIES)[number];

export type FaultName =
  | 'crash'
  | 'crash-leader'
  | 'crash-all'
  | 'stop'
  | 'partition'
  | 'isolate-leader'
  | 'cut-one-way'
  | 'bridge'
  | 'weather'
  | 'pause'
  | 'slow-disk'
  | 'disk-full'
  | 'sync-error'
  | 'bit-rot'
  | 'transfer'
  | 'membership'
  | 'hand-over-and-cut'
  | 'restart-voters'
  | 'restart-twice'
  | 'late-answers'
  | 'hung-disk'
  | 'narrow-link'
  | 'wipe'
  | 'twin';

/** Everything that a seed decides before the run. Times in milliseconds. */
export interface Profile {
  readonly family: Family;
  readonly size: number;
  readonly minVoters: number;
  readonly maximumMembers: number;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly leaseReads: { readonly maximumClockDrift: number } | undefined;
  readonly lazyFollowers: boolean;
  /** clocks are faster than the slowest by up to this factor */
  readonly drift: number;
  readonly withPriorities: boolean;
  readonly limits: Partial<CoreLimits>;
  readonly snapshotAfterBytes: number;
  readonly snapshotAfterEntries: number;
  readonly segmentSizeBytes: number;
  readonly syncMs: number;
  readonly fairWeather: Weather;
  readonly clients: number;
  readonly keys: number;
  readonly thinkMs: number;
  readonly readShare: number;
  /** extra length of a value, so that a write to the log fills several sectors */
  readonly paddingBytes: number;
  readonly faultyMs: number;
  readonly faultIntervalMs: number;
  readonly weights: Readonly<Record<FaultName, number>>;
  /** directories are lost even without a quorum left; what was committed must still not be contradicted */
  readonly isReckless: boolean;
}

const USUAL_WEIGHTS: Readonly<Record<FaultName, number>> = {
  crash: 3,
  'crash-leader': 3,
  'crash-all': 0.4,
  stop: 1,
  partition: 2,
  'isolate-leader': 2.5,
  'cut-one-way': 2,
  bridge: 1,
  weather: 3,
  pause: 2,
  'slow-disk': 1.5,
  'disk-full': 0.7,
  'sync-error': 0.7,
  'bit-rot': 0.4,
  transfer: 1.5,
  membership: 2,
  'hand-over-and-cut': 0.3,
  'restart-voters': 0.3,
  'restart-twice': 0.3,
  'late-answers': 0,
  'hung-disk': 0,
  'narrow-link': 0,
  wipe: 0.5,
  twin: 0,
};

/** The faults that a family changes. */
const WEIGHTS: Readonly<Record<Family, Partial<Record<FaultName, number>>>> = {
  mixed: {},
  'mixed-3': {},
  elections: {
    'isolate-leader': 5,
    'crash-leader': 5,
    'cut-one-way': 4,
    weather: 5,
    'hung-disk': 2,
    membership: 0.3,
    'bit-rot': 0,
  },
  membership: { membership: 14, 'isolate-leader': 4, partition: 4 },
  reads: { 'isolate-leader': 6, pause: 5, partition: 4, 'restart-twice': 8, membership: 0.5, 'bit-rot': 0 },
  snapshots: { crash: 5, partition: 4, 'slow-disk': 3, membership: 3 },
  storage: { crash: 6, 'crash-all': 3, 'sync-error': 3, 'disk-full': 3, 'bit-rot': 1.5, 'slow-disk': 4, membership: 1 },
  endurance: {},
  'figure-8': { 'crash-leader': 8, 'isolate-leader': 8, partition: 3, membership: 0, 'bit-rot': 0, 'disk-full': 0 },
  leases: { 'isolate-leader': 5, pause: 4, 'hand-over-and-cut': 8, 'restart-voters': 8, membership: 0.3, 'bit-rot': 0 },
  churn: { membership: 20, 'crash-leader': 5, partition: 5, 'isolate-leader': 5 },
  segments: { 'crash-all': 4, crash: 6, 'disk-full': 4, 'slow-disk': 3, membership: 1 },
  transfers: { transfer: 14, 'slow-disk': 4, weather: 5, 'hung-disk': 2 },
  forgetful: { wipe: 14, crash: 5, 'crash-all': 2, stop: 2, partition: 4, membership: 1, 'bit-rot': 0 },
};

/** Of the seeds about leases, those with late answers have no other fault, which would undo them. */
const LATE_ANSWERS_SHARE = 0.4;
const LATE_ANSWERS: Partial<Profile> = {
  withPriorities: false, // a leader that transfers trusts no lease
  weights: { ...without(USUAL_WEIGHTS), 'late-answers': 10 },
};

/** Of the seeds about snapshots, those with a narrow link have no other fault, so that the promise can be checked. */
const NARROW_LINK_SHARE = 0.2;
const NARROW_LINK: Partial<Profile> = {
  withPriorities: false,
  weights: { ...without(USUAL_WEIGHTS), 'narrow-link': 10 },
  // many pieces, and a new snapshot long before the last of them has arrived
  clients: 3,
  keys: 60,
  readShare: 0.2,
  paddingBytes: 200,
  snapshotAfterEntries: 12,
};

/** Of the seeds about lost directories, those with two processes of one id have no unrelated fault. */
const TWINS_SHARE = 0.4;
const TWINS: Partial<Profile> = {
  withPriorities: false,
  isReckless: false,
  weights: { ...without(USUAL_WEIGHTS), twin: 10 },
};

const SIZES: Readonly<Record<Family, readonly number[]>> = {
  mixed: [1, 3, 3, 5, 5, 2, 4, 7],
  'mixed-3': [3],
  elections: [3, 5, 5, 4],
  membership: [1, 2, 3, 3, 4],
  reads: [3, 5, 2],
  snapshots: [3, 3, 5],
  storage: [1, 3, 3, 5],
  endurance: [3, 3, 3, 5],
  'figure-8': [5, 5, 3],
  leases: [3, 5],
  churn: [2, 3, 3, 4],
  segments: [1, 3],
  transfers: [3, 5, 4],
  forgetful: [3, 3, 5, 4, 2],
};

function without(weights: Profile['weights']): Profile['weights'] {
  return Object.fromEntries(Object.keys(weights).map((name) => [name, 0])) as Record<FaultName, number>;
}

const MS_PER_HOUR = 3_600_000;
const ENDURANCE_HOURS = 6;

function familyOf(seed: number): Family {
  return FAMILIES[seed % FAMILIES.length]!;
}

/** Whether a seed is of hours with few events, not of minutes with many. */
export function isLong(seed: number): boolean {
  return familyOf(seed) === 'endurance';
}

/** The profile of a seed. */
export function drawProfile(seed: number, random: Random, size?: number): Profile {
  const family = familyOf(seed);
  const isLong = family === 'endurance';
  const groupSize = size ?? randomItem(random, SIZES[family]);
  const tickMs = isLong ? 500 : randomItem(random, [20, 50, 100, 250, 500]);
  const hasLateAnswers = family === 'leases' && randomChance(random, LATE_ANSWERS_SHARE);
  const electionTicks = isLong || hasLateAnswers ? 10 : randomItem(random, [4, 6, 10]);
  const electionMs = tickMs * electionTicks;
  const leaseReads =
    family === 'leases' || (family !== 'reads' && randomChance(random, 0.2))
      ? { maximumClockDrift: randomItem(random, [0.01, 0.05, 0.2]) }
      : undefined;
  const isPacked = family === 'figure-8' || randomChance(random, 0.3);
  const profile: Profile = {
    family,
    size: groupSize,
    minVoters: Math.min(groupSize, randomItem(random, [1, 2, 3])),
    maximumMembers: Math.max(groupSize + 2, 4),
    tickMs,
    electionTicks,
    heartbeatTicks: isLong ? 3 : randomInteger(random, 1, Math.max(1, Math.floor(electionTicks / 4))),
    leaseReads,
    lazyFollowers: randomChance(random, 0.5),
    drift: leaseReads ? leaseReads.maximumClockDrift : randomItem(random, [0, 0.01, 0.1, 0.5]),
    withPriorities: randomChance(random, 0.2),
    limits: drawLimits(random, isPacked),
    snapshotAfterBytes:
      family === 'snapshots' ? randomItem(random, [400, 1000, 2000]) : randomItem(random, [1000, 4000, 20_000]),
    snapshotAfterEntries: randomItem(random, [12, 60, 400]),
    segmentSizeBytes:
      family === 'segments' ? 1024 : randomItem(random, family === 'storage' ? [16_384] : [1024, 2048, 4096, 16_384]),
    syncMs: tickMs * randomItem(random, family === 'storage' ? [0.5, 2] : [0.02, 0.1, 0.5]),
    fairWeather: fairWeather(tickMs * randomItem(random, [0.02, 0.1, 0.3])),
    clients: randomInteger(random, 2, 4),
    keys: randomInteger(random, 2, 4),
    thinkMs: isLong ? 40_000 : electionMs * randomItem(random, family === 'storage' ? [0.1] : [0.1, 0.3, 0.6]),
    readShare: family === 'reads' || family === 'leases' ? 0.6 : 0.3,
    paddingBytes: family === 'storage' || family === 'segments' ? randomItem(random, [300, 1500]) : 0,
    faultyMs: isLong ? ENDURANCE_HOURS * MS_PER_HOUR : electionMs * randomInteger(random, 30, 90),
    faultIntervalMs: isLong ? 90_000 : electionMs * randomItem(random, [0.5, 1, 2]),
    weights: { ...USUAL_WEIGHTS, ...WEIGHTS[family] },
    isReckless: family === 'forgetful' && randomChance(random, 0.4),
    ...(hasLateAnswers && LATE_ANSWERS),
  };
  // Drawn last, so that all other seeds stay the same.
  if (family === 'snapshots' && randomChance(random, NARROW_LINK_SHARE)) return withNarrowLink(profile);
  if (family === 'forgetful' && randomChance(random, TWINS_SHARE))
    return { ...profile, ...TWINS, faultyMs: 120 * electionMs };
  return profile;
}

function withNarrowLink(profile: Profile): Profile {
  const { tickMs, limits } = profile;
  const electionTicks = 10;
  const electionMs = electionTicks * tickMs;
  return {
    ...profile,
    ...NARROW_LINK,
    electionTicks,
    heartbeatTicks: 2,
    // room for the requests, and small pieces
    limits: {
      ...limits,
      maximumMessageBytes: 1000,
      maximumInflightMessages: 8,
      maximumInflightBytes: 5000,
      snapshotChunkBytes: 200,
    },
    syncMs: tickMs * 0.1,
    thinkMs: electionMs / 2,
    faultyMs: electionMs * 150,
    faultIntervalMs: electionMs * 20,
  };
}

/** Small enough to reach every bound. */
function drawLimits(random: Random, isPacked: boolean): Partial<CoreLimits> {
  return {
    maximumMessageBytes: isPacked ? 64 : randomItem(random, [200, 1000, 1_000_000]),
    maximumInflightMessages: randomItem(random, [1, 2, 8, 128]),
    eagerMessages: randomItem(random, [1, 2, 8]),
    batchEntries: randomItem(random, [1, 4, 256]),
    maximumInflightBytes: randomItem(random, [300, 5000, 1_000_000]),
    maximumApplyBytes: randomItem(random, [100, 1000, 1_000_000]),
    maximumUncommittedBytes: randomItem(random, [600, 100_000, 1_000_000]),
    snapshotChunkBytes: randomItem(random, [40, 200, 1000]),
    maximumPendingReads: randomItem(random, [1, 4, 256]),
  };
}

/** A good network with a maximum delay. */
export function fairWeather(maximumDelayMs: number): Weather {
  return {
    minDelayMs: maximumDelayMs / 4,
    maximumDelayMs,
    loss: 0,
    duplication: 0,
    reordering: 0,
    straggling: 0,
    straggleMs: 0,
  };
}

/** A bad network of one kind. */
export function foulWeather(random: Random, { tickMs, electionTicks, fairWeather: fair }: Profile): Weather {
  const electionMs = tickMs * electionTicks;
  return {
    minDelayMs: fair.minDelayMs,
    maximumDelayMs: randomItem(random, [fair.maximumDelayMs, tickMs, electionMs / 2, electionMs]),
    loss: randomItem(random, [0, 0.05, 0.2, 0.5]),
    duplication: randomItem(random, [0, 0.05, 0.3]),
    reordering: randomItem(random, [0, 0.2, 0.8]),
    straggling: randomItem(random, [0, 0.03, 0.2]),
    straggleMs: electionMs * randomItem(random, [1, 4, 10]),
  };
}
