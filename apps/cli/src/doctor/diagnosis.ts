import type { Clock } from '@concordat/foundation';
import {
  COORDINATOR_CHECKS,
  groupFinding,
  runChecks,
  sharedDatabaseFinding,
  type CoordinatorFacts,
  type Examination,
  type examineDatabase,
} from '@concordat/participant';
import { brokerLines, type BrokerPorts } from './broker-lines.js';
import type { DiagnosisLine } from './line.js';
import type { DoctorOptions } from './options.js';
import { signatureLines } from './signature-lines.js';

export interface DiagnosisPorts extends BrokerPorts {
  readonly clock: Clock;
  readonly examineDatabase: typeof examineDatabase;
  readonly readCoordinator: (url: string, clock: Clock) => Promise<CoordinatorFacts>;
}

/** All checks, in the order in which somebody would correct what they find. Never rejects. */
export async function diagnose(options: DoctorOptions, ports: DiagnosisPorts): Promise<readonly DiagnosisLine[]> {
  const examinations = await examineDatabases(options, ports);
  const coordinators = await Promise.all(options.coordinators.map((url) => ports.readCoordinator(url, ports.clock)));
  const owners = examinations.flatMap(({ facts }) => facts?.ledger.owner ?? []);
  const cluster = options.cluster ?? owners[0]?.cluster ?? coordinators.find(({ group }) => group)?.group?.clusterName;
  const participants =
    options.participant === undefined ? owners.map((owner) => owner.participant) : [options.participant];
  return [
    ...databaseLines(examinations, options),
    ...coordinatorLines(coordinators, options.cluster ?? owners[0]?.cluster),
    ...(await brokerLines(options, cluster ?? 'local', [...new Set(participants)], ports)),
    ...signatureLines(options, coordinators, ports.environment),
  ];
}

function examineDatabases(options: DoctorOptions, ports: DiagnosisPorts): Promise<Examination[]> {
  const { participant, cluster, schema, databasePasswordFile: passwordFile } = options;
  const secret = passwordFile === undefined ? {} : { passwordFile };
  return Promise.all(
    options.databases.map((connectionString) =>
      ports.examineDatabase({ connectionString, ...secret, clock: ports.clock, schema, participant, cluster }),
    ),
  );
}

function databaseLines(examinations: readonly Examination[], { participant }: DoctorOptions): readonly DiagnosisLine[] {
  const lines = examinations.flatMap(({ where, reports }) => reports.map((report) => ({ subject: where, ...report })));
  const facts = examinations.flatMap((one) => one.facts ?? []);
  const shared = sharedDatabaseFinding(facts, participant);
  return shared ? [...lines, { subject: 'databases', name: 'shared', ...shared }] : lines;
}

function coordinatorLines(all: readonly CoordinatorFacts[], cluster: string | undefined): readonly DiagnosisLine[] {
  const lines = all.flatMap((facts) =>
    runChecks(COORDINATOR_CHECKS, { facts, cluster }).map((report) => ({ subject: facts.url, ...report })),
  );
  const group = groupFinding(all);
  return group ? [...lines, { subject: 'coordinators', name: 'group', ...group }] : lines;
}
