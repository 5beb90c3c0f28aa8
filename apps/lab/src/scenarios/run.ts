import { once } from 'node:events';
import { errorMessage } from '@concordat/foundation';
import type { SystemOptions } from '../arguments.js';
import { LabError } from '../lab-error.js';
import { EndOnSignals, EXIT_INTERRUPTED } from '../local-system/end-on-signals.js';
import type { Link } from '../local-system/ports.js';
import { contextOf, isSupervised } from '../local-system/local-system.js';
import { linkOfThisMachine, stopSystem, superviseDetached } from '../local-system/supervisor.js';
import { SystemFile } from '../local-system/system-file.js';
import { Narration, table } from '../narration.js';
import { badClients } from './bad-clients.js';
import { finalChecks } from './final-checks.js';
import { crashEverywhere } from './crash-everywhere.js';
import { clockSteps } from './clock-steps.js';
import { cutLinks } from './cut-links.js';
import { duplicateStorm } from './duplicate-storm.js';
import { forgetfulDatabase } from './forgetful-database.js';
import { forgetfulMember } from './forgetful-member.js';
import { growShrink } from './grow-shrink.js';
import { heuristic } from './heuristic.js';
import { hungDisk } from './hung-disk.js';
import { intruder } from './intruder.js';
import { killAllCoordinators } from './kill-all-coordinators.js';
import { killDatabase } from './kill-database.js';
import { killKafka } from './kill-kafka.js';
import { killLeader } from './kill-leader.js';
import { killParticipant } from './kill-participant.js';
import { Load } from './load.js';
import { noKafka } from './no-kafka.js';
import { orphans } from './orphans.js';
import { pauseLeader } from './pause-leader.js';
import { poisonMessage } from './poison-message.js';
import { replaceNode } from './replace-node.js';
import { restoreBackup } from './restore-backup.js';
import { rotateCertificates } from './rotate-certificates.js';
import { shop } from './shop.js';
import {
  isStandalone,
  linksOf,
  needsSecurity,
  type AnyScenario,
  type Scenario,
  type ScenarioOptions,
} from './scenario.js';
import { securedBeside } from './secured-system.js';
import { threePhase } from './three-phase.js';
import { ScenarioLab } from './scenario-lab.js';
import { twoClusters } from './two-clusters.js';
import { unsafe3pc } from './unsafe-3pc.js';
import type { Check } from './truth.js';

const SCENARIOS: readonly AnyScenario[] = [
  killLeader,
  killParticipant,
  killDatabase,
  killKafka,
  cutLinks,
  noKafka,
  killAllCoordinators,
  pauseLeader,
  hungDisk,
  growShrink,
  replaceNode,
  forgetfulMember,
  forgetfulDatabase,
  heuristic,
  restoreBackup,
  orphans,
  poisonMessage,
  duplicateStorm,
  badClients,
  intruder,
  rotateCertificates,
  twoClusters,
  clockSteps,
  threePhase,
  unsafe3pc,
  shop,
  crashEverywhere,
];
const ANSWERS_TIMEOUT_MS = 60_000;

export function listScenarios(): string[] {
  const rows = SCENARIOS.map((scenario) => [scenario.name, whereItRuns(scenario), scenario.title]);
  return table([['scenario', 'links', ''], ...rows]);
}

function whereItRuns(scenario: AnyScenario): string {
  return linksOf(scenario).join(', ') + (needsSecurity(scenario) ? ', secured' : '');
}

/** The named scenarios. `all` leaves out those that make no sense on the link, and says so. */
export function chosenScenarios(
  names: readonly string[],
  link: Link,
  say: (line: string) => void,
): readonly AnyScenario[] {
  const runsHere = (scenario: AnyScenario): boolean => linksOf(scenario).includes(link);
  const needs = (scenario: AnyScenario): string => `it needs the link ${linksOf(scenario).join(' or ')}`;
  if (names.includes('all')) {
    for (const scenario of SCENARIOS)
      if (!runsHere(scenario)) say(`${scenario.name} is left out on the link ${link}: ${needs(scenario)}`);
    return SCENARIOS.filter(runsHere);
  }
  return names.map((name) => {
    const scenario = SCENARIOS.find((candidate) => candidate.name === name);
    if (!scenario) {
      const known = SCENARIOS.map((candidate) => candidate.name).join(', ');
      throw new LabError(`There is no scenario "${name}"; there are ${known}, and "all".`);
    }
    if (!runsHere(scenario)) throw new LabError(`${name} cannot run on the link ${link}: ${needs(scenario)}.`);
    return scenario;
  });
}

interface Result {
  readonly name: string;
  readonly checks: readonly Check[];
  readonly tookMs: number;
}

/**
 * Runs scenarios on the running system, or on one started for them.
 *
 * @returns the exit code: 0 only when every invariant held in all; another one when a signal has ended them
 */
export async function runScenarios(
  names: readonly string[],
  options: SystemOptions,
  choice: ScenarioOptions,
): Promise<number> {
  const say = (line: string): void => console.log(line);
  const state = new SystemFile(contextOf(options, say).directory).read();
  const running = state && isSupervised(state) ? state : undefined;
  const link = options.link ?? running?.link ?? linkOfThisMachine(say);
  if (running && running.link !== link) {
    throw new LabError(
      `The running system has the link ${running.link}, not ${link}; leave --link out, or run "npm stop" first.`,
    );
  }
  if (running && options.isSecure && !running.isSecure) {
    throw new LabError('The running system is not secured; leave --secure out, or run "npm stop" first.');
  }
  const scenarios = chosenScenarios(names, link, say);
  const isSecure = running?.isSecure ?? options.isSecure ?? false;
  const needsOther = (scenario: AnyScenario): boolean => !isSecure && needsSecurity(scenario);
  const here = scenarios.filter((scenario) => !needsOther(scenario));
  const elsewhere = scenarios.filter(needsOther);
  const results: Result[] = [];
  const add = (result: Result): void => void results.push(result);
  const own = !running && 'No local system is running; starting one for the scenarios …';
  const failed = await runAll(here, own, { ...options, link }, choice, add);
  if (failed !== 0) return failed;
  const other = 'Starting a secured system for the scenarios that need one …';
  const failedThere = await runAll(elsewhere, other, securedBeside(options, link), choice, add);
  if (failedThere !== 0) return failedThere;
  if (results.length > 1) printSummary(results);
  return results.every(holds) ? 0 : 1;
}

/**
 * @param own what to say when a system is started for the scenarios; false: one is running
 * @returns 0 when all ran, whatever they found; else the exit code
 */
async function runAll(
  scenarios: readonly AnyScenario[],
  own: string | false,
  options: SystemOptions,
  choice: ScenarioOptions,
  add: (result: Result) => void,
): Promise<number> {
  const starts = own !== false && !scenarios.every(isStandalone);
  if (starts) {
    console.log(own);
    await superviseDetached(options, false);
    const failed = Number(process.exitCode ?? 0);
    if (failed !== 0) return failed;
  }
  const signals = new EndOnSignals();
  const interrupted = once(signals.signal, 'abort').then(() => undefined);
  try {
    for (const scenario of scenarios) {
      const result = await Promise.race([runOne(scenario, options, choice), interrupted]);
      if (result === undefined) {
        const left = starts
          ? ''
          : '; the next scenario starts what it has killed, or "npm run lab -- restart <name …>"';
        console.log(`\n${scenario.name} was interrupted${left}`);
        return EXIT_INTERRUPTED;
      }
      add(result);
    }
  } finally {
    signals.release();
    if (starts) await stopSystem(options);
  }
  return 0;
}

const holds = ({ checks }: Result): boolean => checks.every((check) => check.holds);

async function runOne(scenario: AnyScenario, options: SystemOptions, choice: ScenarioOptions): Promise<Result> {
  const narration = new Narration();
  narration.heading(`${scenario.name}: ${scenario.title}`);
  const checks: Check[] = [];
  try {
    const run = isStandalone(scenario)
      ? scenario.runAlone(narration)
      : runUnderLoad(scenario, labFor(options, narration), choice);
    checks.push(...(await run));
  } catch (error) {
    checks.push({ name: 'the scenario ran to its end', holds: false, detail: errorMessage(error) });
  }
  for (const check of checks) narration.say(`${check.holds ? 'holds ' : 'BROKEN'}  ${check.name}: ${check.detail}`);
  return { name: scenario.name, checks, tookMs: narration.elapsedMs };
}

function labFor(options: SystemOptions, narration: Narration): ScenarioLab {
  const context = contextOf(options, (text) => narration.say(text));
  const file = new SystemFile(context.directory);
  const load = new Load(() => lab.coordinators().map(({ name }) => lab.url(name)));
  const lab: ScenarioLab = new ScenarioLab(context, file, narration, load);
  return lab;
}

async function runUnderLoad(scenario: Scenario, lab: ScenarioLab, choice: ScenarioOptions): Promise<Check[]> {
  const { narration, load } = lab;
  await lab.repair(); // an earlier scenario or a person may have left dead or changed parts
  const opening = await lab.databases.balances();
  narration.action('start transfers between the banks, and let them run through all that follows');
  load.start();
  const broken: Check[] = [];
  try {
    await lab.waitForCommits(20);
    narration.observation(`${load.committed} transfers committed`);
    await scenario.run(lab, choice);
  } catch (error) {
    broken.push({ name: 'the fault went as planned', holds: false, detail: errorMessage(error) });
    await lab.repair();
  } finally {
    narration.action('end the load; ask again for every answer that is missing');
    await load.stop(ANSWERS_TIMEOUT_MS);
  }
  narration.action('read the truth from the databases and from every node');
  return [...broken, ...lab.findings, ...(await finalChecks(lab, opening))];
}

function printSummary(results: readonly Result[]): void {
  const rows = results.map((result) => [
    result.name,
    holds(result) ? 'all invariants held' : 'BROKEN',
    `${(result.tookMs / 1000).toFixed(1)} s`,
  ]);
  for (const line of ['', ...table([['scenario', 'result', 'time'], ...rows])]) console.log(line);
}
