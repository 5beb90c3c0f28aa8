import { uuidV7Time } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import { BANKS } from '../local-system/ports.js';
import { waitUntil } from '../local-system/wait.js';
import { table } from '../narration.js';
import { describeAnswer, request } from '../rest.js';
import { forgetLeftovers, pathTo } from './crash-everywhere-paths.js';
import { KINDS, MixedTraffic } from './crash-everywhere-traffic.js';
import { Visitor, type Visit } from './crash-everywhere-visits.js';
import { KafkaTap } from './kafka-tap.js';
import type { Scenario } from './scenario.js';
import type { ScenarioLab } from './scenario-lab.js';

const ANSWERS_TIMEOUT_MS = 60_000;
/** Only transactions in three phases pass these. */
const THREE_PHASES =
  /\.(pre-commit|ballot-request|ballot-answer|branches-decided|undecided|termination-due|acceptor[a-z-]*)\.|^participant\.decision\.(before|after)-send$/;
/** Only a branch that no coordinator answers passes these. */
const SILENCE =
  /^participant\.(termination-due\..*|branches-decided\..*|(ballot-request|decision)\.(before|after)-send|ballot-answer\.(received|handled))$/;
/** Shortens the wait of the branches, in milliseconds. */
const SHORT_TERMINATION = { CONCORDAT_TERMINATION_TIMEOUT_MS: '1000' } as const;
/** The leader must have been started with a short retention. */
const RETENTION = /^coordinator\.expire\./;
/** How much of the beginning of the run each visit may drop. */
const EXPIRED_MS = 60_000;
/** The time for a prepared leader to reach the point, before the retention drops what must stay. */
const RETENTION_MARGIN_MS = 50_000;

export const crashEverywhere: Scenario = {
  name: 'crash-everywhere',
  title: 'kill -9 at every crash point of coordinators and banks, under all kinds of load',
  run: async (lab, { points }) => {
    const startedAt = Date.now();
    const threePhases = await offersThreePhases(lab);
    const traffic = new MixedTraffic(lab, threePhases ? KINDS : KINDS.filter((kind) => kind !== '3pc'));
    const visit = async (tap?: KafkaTap): Promise<void> => {
      lab.narration.action('add transactions of all other kinds to the load, and come by every crash point');
      traffic.start();
      try {
        report(lab, await visitAll(lab, tap, { startedAt, threePhases, traffic, points }));
      } finally {
        await traffic.stop(ANSWERS_TIMEOUT_MS);
      }
    };
    await (lab.state().link === 'direct' ? visit() : KafkaTap.use(lab, visit));
    lab.narration.observation(traffic.figures());
    await forgetLeftovers(lab);
  },
};

interface Run {
  readonly startedAt: number;
  readonly threePhases: boolean;
  readonly traffic: MixedTraffic;
  /** only these are visited; undefined: all */
  readonly points: RegExp | undefined;
}

/** The leader and one bank at a time, in parallel: a majority of coordinators and two banks are always alive. */
async function visitAll(lab: ScenarioLab, tap: KafkaTap | undefined, run: Run): Promise<readonly Visit[]> {
  const ofLeader = await pointsOf(lab, await lab.leader(), run);
  const ofBanks = await pointsOf(lab, BANKS[0], run);
  if (ofLeader.length + ofBanks.length === 0) throw new LabError(`No crash point matches ${String(run.points)}.`);
  const visitor = new Visitor(lab, tap, run.traffic.threePhase, ofLeader.length + ofBanks.length);
  const leaders = async (): Promise<void> => {
    for (const point of ofLeader.filter((name) => !RETENTION.test(name))) await visitor.leader(point);
  };
  const banks = async (): Promise<void> => {
    for (const [place, point] of ofBanks.filter((name) => !SILENCE.test(name)).entries())
      await visitor.bank(point, BANKS[place % BANKS.length] ?? BANKS[0]);
  };
  await Promise.all([leaders(), banks()]);
  await visitSilence(
    lab,
    visitor,
    ofBanks.filter((name) => SILENCE.test(name)),
  );
  await visitRetention(
    lab,
    visitor,
    ofLeader.filter((name) => RETENTION.test(name)),
    run.startedAt,
  );
  return visitor.visits;
}

/** No coordinator answers the branches of transactions in three phases, and they end by themselves. */
async function visitSilence(lab: ScenarioLab, visitor: Visitor, points: readonly string[]): Promise<void> {
  if (points.length === 0) return;
  const restart = async (environment: Readonly<Record<string, string>>): Promise<void> => {
    await Promise.all(BANKS.map((bank) => lab.kill(bank)));
    await Promise.all(BANKS.map((bank) => lab.revive(bank, environment)));
  };
  lab.narration.action('kill -9 all banks, and start them again with a short termination timeout');
  await restart(SHORT_TERMINATION);
  for (const point of points) await visitor.silentBank(point, SHORT_TERMINATION);
  lab.narration.action('kill -9 all banks, and start them again as they were');
  await restart({});
}

/** The crash points of a process that this system can pass and that were selected. */
async function pointsOf(lab: ScenarioLab, name: string, { threePhases, points: chosen }: Run): Promise<string[]> {
  const answer = await request('GET', `${lab.url(name)}/debug/failpoints`);
  const known = answer.body['known'];
  if (!Array.isArray(known)) throw new LabError(`${name} did not list its failpoints: ${describeAnswer(answer)}.`);
  const selected = known.map(String).filter((point) => chosen === undefined || chosen.test(point));
  const { link } = lab.state();
  const points = selected.filter((point) => pathTo(point, link) !== undefined);
  const without = selected.length - points.length;
  if (without > 0) lab.narration.observation(`${without} points of ${name} cannot be passed on the link ${link}`);
  if (threePhases) return points;
  const left = points.filter((point) => THREE_PHASES.test(point));
  lab.narration.observation(`${left.length} points of ${name} cannot be passed: the coordinators refuse 3pc`);
  return points.filter((point) => !THREE_PHASES.test(point));
}

async function offersThreePhases(lab: ScenarioLab): Promise<boolean> {
  const url = `${lab.url(await lab.leader())}/v1/transactions`;
  const { status } = await request('POST', url, { protocol: '3pc', timeoutMs: 1_000 });
  return status === 201;
}

/**
 * A leader with a short retention drops what ended in the first seconds of the run, and dies of it. Dropped
 * transactions are known by their age: all others must still be known to all nodes.
 */
async function visitRetention(
  lab: ScenarioLab,
  visitor: Visitor,
  points: readonly string[],
  startedAt: number,
): Promise<void> {
  if (points.length === 0) return;
  const droppedBefore = startedAt + EXPIRED_MS;
  const { transfers } = lab.load; // in the order of their begin
  const allTold = (): boolean => {
    const late = transfers.findIndex(({ id }) => id !== undefined && ageKnown(id) >= droppedBefore);
    return late !== -1 && transfers.slice(0, late).every(({ told }) => told !== undefined);
  };
  if (!(await waitUntil(allTold, { timeoutMs: EXPIRED_MS + ANSWERS_TIMEOUT_MS })))
    throw new LabError('Some of the first transfers still have no answer, so they must not be forgotten.');
  for (const point of points) {
    const retentionMs = Math.max(1_000, Date.now() - droppedBefore + RETENTION_MARGIN_MS);
    await visitor.preparedLeader(point, {
      CONCORDAT_RETENTION_MS: String(retentionMs),
      CONCORDAT_RETENTION_INTERVAL_MS: '250',
    });
  }
  await markForgotten(lab, droppedBefore);
}

async function markForgotten(lab: ScenarioLab, droppedBefore: number): Promise<void> {
  let forgotten = 0;
  const url = lab.url(await lab.leader());
  for (const transfer of lab.load.transfers) {
    if (transfer.id === undefined || ageKnown(transfer.id) >= droppedBefore) continue;
    const { status } = await request('GET', `${url}/v1/transactions/${transfer.id}`);
    if (status !== 410) continue;
    transfer.forgotten = 'expired';
    forgotten++;
  }
  lab.narration.observation(`${forgotten} transactions of the first seconds are forgotten, as they should be`);
}

/** When a transaction was made, in milliseconds since 1970; without an id it counts as new. */
function ageKnown(id: string | undefined): number {
  return (id === undefined ? undefined : uuidV7Time(id)) ?? Infinity;
}

/** @throws LabError with every point that was not reached, or after which a process did not come back */
function report(lab: ScenarioLab, visits: readonly Visit[]): void {
  const rows = visits.map(({ point, victim, reachedMs, backMs, problem }) => [
    point,
    victim,
    reachedMs === undefined ? '-' : `${reachedMs} ms`,
    backMs === undefined ? '-' : `${backMs} ms`,
    problem ?? '',
  ]);
  for (const line of table([['crash point', 'killed', 'reached after', 'ready again after', ''], ...rows])) {
    lab.narration.plain(line);
  }
  const failed = visits.flatMap(({ point, victim, problem }) =>
    problem === undefined ? [] : [`${point} (${victim}): ${problem}`],
  );
  lab.check('every crash point was passed by a process that died there', failed, `${visits.length} kills`);
}
