import { errorMessage, type Clock } from '@concordat/foundation';
import {
  REPLIES_TOPIC,
  decideTopic,
  prepareTopic,
  type inspectTopics,
  type Topic,
  type TopicFinding,
} from '@concordat/messaging';
import {
  COORDINATOR_CHECKS,
  groupFinding,
  runChecks,
  sharedDatabaseFinding,
  type CoordinatorFacts,
  type Examination,
  type Finding,
  type examineDatabase,
} from '@concordat/participant';
import type { DoctorOptions } from './options.js';

/** What was found about one thing: a database, a coordinator, a topic. */
export type DiagnosisLine = { readonly subject: string; readonly name: string } & Finding;

export interface DiagnosisPorts {
  readonly clock: Clock;
  readonly examineDatabase: typeof examineDatabase;
  readonly readCoordinator: (url: string, clock: Clock) => Promise<CoordinatorFacts>;
  readonly inspectTopics: typeof inspectTopics;
}

const TOPIC_STATUS: Readonly<Record<TopicFinding['state'], Finding['status']>> = {
  usable: 'ok',
  impaired: 'warning',
  missing: 'warning',
  unusable: 'failure',
};

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
    ...(await topicLines(options, cluster ?? 'local', [...new Set(participants)], ports)),
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

async function topicLines(
  { kafkaBrokers, kafkaTls, topicPrefix }: DoctorOptions,
  cluster: string,
  participants: readonly string[],
  { clock, inspectTopics }: DiagnosisPorts,
): Promise<readonly DiagnosisLine[]> {
  if (kafkaBrokers.length === 0) return [];
  const topics: Topic[] = participants.flatMap((name) => [prepareTopic(name), decideTopic(name)]);
  const settings = {
    brokers: kafkaBrokers,
    clientId: 'concordat-doctor',
    ssl: kafkaTls,
    cluster,
    clock,
    ...(topicPrefix !== undefined && { topicPrefix }),
  };
  const subject = kafkaBrokers.join(',');
  try {
    const findings = await inspectTopics(settings, [...topics, REPLIES_TOPIC]);
    return findings.map((finding) => topicLine(subject, finding));
  } catch (error) {
    return [
      {
        subject,
        name: 'broker',
        status: 'failure',
        sentence: `the broker cannot be asked: ${errorMessage(error)}`,
        fix: 'start it, and check --kafka, --kafka-tls, the network, and the addresses that the brokers advertise',
      },
    ];
  }
}

function topicLine(subject: string, finding: TopicFinding): DiagnosisLine {
  const { sentence } = finding;
  const fix = finding.state === 'usable' ? '' : finding.fix;
  const status = TOPIC_STATUS[finding.state];
  return status === 'ok'
    ? { subject, name: 'topic', status, sentence }
    : { subject, name: 'topic', status, sentence, fix };
}
