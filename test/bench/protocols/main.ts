import type { Bar } from '../report.js';
import { OWN_PARTICIPANTS, withSystems, type Link } from '../system.js';
import { PROTOCOLS, type ProtocolName } from './cells.js';
import { earlierFigures } from './earlier.js';
import { measureRecovery, recoveryResult, recoveryText } from './recovery.js';
import { linksText, protocolsBars, protocolsReport, protocolsText } from './report.js';
import { measureProtocols, participantsNeeded } from './workload.js';

export { PROTOCOLS } from './cells.js';

export const PROTOCOL_WORKLOADS = ['protocols', 'recovery'] as const;
type ProtocolWorkload = (typeof PROTOCOL_WORKLOADS)[number];

/** What the command line says; undefined: the default of the workload. */
export interface ProtocolWorkloadOptions {
  /** the directory of results, earlier ones included; the system's data go below it */
  readonly results: string;
  readonly portOffset: number;
  readonly links: readonly Link[];
  readonly protocols: readonly ProtocolName[] | undefined;
  readonly branches: readonly number[] | undefined;
  readonly clients: readonly number[] | undefined;
  readonly rounds: number;
  readonly seconds: number;
  readonly kills: number | undefined;
}

interface WorkloadResult {
  readonly result: unknown;
  readonly bars: readonly Bar[];
  /** what the lengths of the bars mean */
  readonly unit: string;
}

/** @throws Error that names a word which is no protocol */
export function protocolNames(text: string): ProtocolName[] {
  return text.split(',').map((name) => {
    const protocol = PROTOCOLS.find((candidate) => candidate === name);
    if (!protocol) throw new Error(`--protocols names "${name}"; there are: ${PROTOCOLS.join(', ')}`);
    return protocol;
  });
}

/** Starts a system, measures, prints tables and ends it. */
export async function runProtocolWorkload(
  workload: ProtocolWorkload,
  options: ProtocolWorkloadOptions,
): Promise<WorkloadResult> {
  return workload === 'protocols' ? await runProtocols(options) : await runRecovery(options);
}

async function runProtocols(options: ProtocolWorkloadOptions): Promise<WorkloadResult> {
  const { protocols = PROTOCOLS, branches = [2, 3, 5, 8, 16], clients = [1, 64], rounds, seconds } = options;
  const participants = Math.max(OWN_PARTICIPANTS, participantsNeeded({ branches }));
  const measured = await withSystems(options.results, options.links, { ...options, participants }, (systems) =>
    measureProtocols(systems, options.links, { protocols, branches, clients, rounds, seconds }),
  );
  const reports = measured.map((one) => protocolsReport(one, earlierFigures(options.results, one.link)));
  const texts = [...reports.map(protocolsText), linksText(reports)].filter((text) => text !== '');
  process.stdout.write(`\n${texts.join('\n\n')}\n`);
  return {
    result: { systems: reports.map((report, place) => ({ ...report, rounds: measured[place]!.rounds })) },
    bars: protocolsBars(reports),
    unit: 'transactions per second (median)',
  };
}

async function runRecovery(options: ProtocolWorkloadOptions): Promise<WorkloadResult> {
  const { protocols = ['2pc', '3pc'], clients = [64], kills = 3 } = options;
  const [branches = 3, ...others] = options.branches ?? [];
  const [clientCount = 64, ...more] = clients;
  if (others.length + more.length > 0) throw new Error('recovery takes one number of branches and one of clients');
  const [link = 'kafka', ...further] = options.links;
  if (further.length > 0) throw new Error('recovery takes one link');
  const participants = Math.max(OWN_PARTICIPANTS, branches);
  const measured = await withSystems(options.results, [link], { ...options, participants }, ([system]) =>
    measureRecovery(system!, { protocols, branches, clients: clientCount, kills }),
  );
  process.stdout.write(`\n${recoveryText(measured)}\n`);
  const bars = measured.map(({ protocol, kind, begunBeforeMs }) => ({
    label: `${protocol}: ${kind}`,
    value: begunBeforeMs,
  }));
  return { result: recoveryResult(measured), bars, unit: 'ms from kill -9 until no branch is in doubt' };
}
