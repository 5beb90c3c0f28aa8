import type { Clock, Environment } from '@concordat/foundation';
import {
  brokerFault,
  REPLIES_TOPIC,
  decideTopic,
  prepareTopic,
  type inspectGroup,
  type inspectTopics,
  type KafkaMessageBusOptions,
  type MessageSender,
  type Topic,
  type TopicFinding,
} from '@concordat/messaging';
import { brokerAccess } from './broker-access.js';
import type { DiagnosisLine } from './line.js';
import type { DoctorOptions } from './options.js';

export interface BrokerPorts {
  readonly clock: Clock;
  /** of this process: TLS and SASL to the brokers stand there, as for a service */
  readonly environment: Environment;
  readonly inspectTopics: typeof inspectTopics;
  readonly inspectGroup: typeof inspectGroup;
}

const STATUS: Readonly<Record<TopicFinding['state'], DiagnosisLine['status']>> = {
  usable: 'ok',
  impaired: 'warning',
  missing: 'warning',
  unusable: 'failure',
};

/**
 * The topics of the participants, with their rights there and in their groups. Without a participant it is not known who
 * asks, so only the topic of all is looked at. Never rejects.
 */
export async function brokerLines(
  { kafkaBrokers, kafkaTls, topicPrefix }: DoctorOptions,
  cluster: string,
  participants: readonly string[],
  ports: BrokerPorts,
): Promise<readonly DiagnosisLine[]> {
  if (kafkaBrokers.length === 0) return [];
  const subject = kafkaBrokers.join(',');
  const access = brokerAccess(ports.environment, kafkaTls);
  if (!access.ok) {
    return access.problems.map((problem) => ({ subject, name: 'broker-settings', status: 'failure', ...problem }));
  }
  const settings = {
    brokers: kafkaBrokers,
    clientId: 'concordat-doctor',
    ...access.security,
    cluster,
    clock: ports.clock,
    ...(topicPrefix !== undefined && { topicPrefix }),
  };
  try {
    const lines: DiagnosisLine[] = [];
    const findings = participants.length > 0 ? [] : await ports.inspectTopics(settings, [REPLIES_TOPIC]);
    lines.push(...findings.map((finding) => lineOf(subject, 'topic', finding)));
    for (const participant of participants) lines.push(...(await linesOf(participant, subject, settings, ports)));
    return lines.filter(({ sentence }, index) => lines.findIndex((line) => line.sentence === sentence) === index);
  } catch (error) {
    return [{ subject, name: 'broker', status: 'failure', ...brokerFault(error, access.security) }];
  }
}

async function linesOf(
  participant: string,
  subject: string,
  settings: KafkaMessageBusOptions,
  { inspectTopics, inspectGroup }: BrokerPorts,
): Promise<readonly DiagnosisLine[]> {
  const role: MessageSender = `participant:${participant}`;
  const topics: Topic[] = [prepareTopic(participant), decideTopic(participant), REPLIES_TOPIC];
  const findings = await inspectTopics({ ...settings, role }, topics);
  const group = await inspectGroup({ ...settings, role });
  return [...findings.map((finding) => lineOf(subject, 'topic', finding)), lineOf(subject, 'consumer-group', group)];
}

type BrokerFinding =
  | { readonly state: 'usable'; readonly sentence: string }
  | { readonly state: 'impaired' | 'missing' | 'unusable'; readonly sentence: string; readonly fix: string };

function lineOf(subject: string, name: string, finding: BrokerFinding): DiagnosisLine {
  const { sentence } = finding;
  if (finding.state === 'usable') return { subject, name, status: 'ok', sentence };
  return { subject, name, status: STATUS[finding.state], sentence, fix: finding.fix };
}
