import { readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { silentLogger, SystemClock, type Environment } from '@concordat/foundation';
import { LocalAuthority } from '@concordat/foundation/authority';
import {
  brokerFault,
  encodeMessage,
  inspectGroup,
  inspectTopics,
  KafkaMessageBus,
  Namespace,
  REPLIES_TOPIC,
} from '@concordat/messaging';
import kafkajs from 'kafkajs';
import { brokerAccess, brokerLines, parseDoctor } from '../../apps/cli/src/doctor/index.js';
import type { LocalSecurity } from '../../apps/lab/src/local-system/security/index.js';
import { AppProcesses } from '../support/app-processes.js';
import type { LocalSystem, SystemFile } from '../support/local-system.js';
import { waitFor } from '../support/wait-for.js';

export interface SecuredBroker {
  readonly link: 'kafka' | 'both';
  readonly system: LocalSystem;
  readonly state: SystemFile;
  readonly security: LocalSecurity;
  readonly coordinators: readonly { readonly url: string; readonly audit: string }[];
  /** the text of an answer, asked with the token for metrics */
  readonly metrics: (url: string) => Promise<string>;
}

/** What the broker of a secured system refuses, and what a process or the doctor says then. */
export function describeSecuredBroker(given: () => SecuredBroker): void {
  const apps = new AppProcesses();
  afterAll(() => apps.endAll());

  /** As bank-a has it. An empty variable counts as not set. */
  function environmentOf(changes: Environment = {}): Environment {
    const { security, link } = given();
    return { ...security.serviceVariables('bank-a', link), ...changes };
  }

  async function doctorLines(changes: Environment, broker = given().system.kafkaBrokers[0]!): Promise<string[]> {
    const options = parseDoctor({ kafka: broker });
    const ports = { clock: new SystemClock(), environment: environmentOf(changes), inspectTopics, inspectGroup };
    const lines = await brokerLines(options, given().state.clusterName, ['bank-a'], ports);
    expect(JSON.stringify(lines)).not.toContain(given().security.servers.password('bank-a'));
    return lines.map((line) => `${line.name} ${line.status}: ${line.sentence}: ${'fix' in line ? line.fix : ''}`);
  }

  function controllerOf({ state }: SecuredBroker): string {
    return `127.0.0.1:${state.processes.find(({ role }) => role === 'kafka')!.ports['controller']}`;
  }

  /** A certificate of the broker's own authority, in files. */
  function certificateFiles(name: string, notAfter?: Date): { readonly certificate: string; readonly key: string } {
    const { security } = given();
    const key = path.join(path.dirname(security.servers.caFile), 'ca.key');
    const authority = LocalAuthority.restore(readFileSync(security.servers.caFile), readFileSync(key));
    const issued = authority.issue({ subject: name, ...(notAfter && { notAfter }) });
    const files = {
      certificate: path.join(security.directory, name),
      key: path.join(security.directory, `${name}.key`),
    };
    writeFileSync(files.certificate, issued.cert, { mode: 0o600 });
    writeFileSync(files.key, issued.key, { mode: 0o600 });
    return files;
  }

  it('is found well by the doctor, which is called as a service is', async () => {
    const { system, state, security, coordinators } = given();
    const { databaseUrl } = state.processes.find(({ name }) => name === 'bank-a')!;
    const words = [
      '--database',
      databaseUrl!,
      '--coordinator',
      coordinators[0]!.url,
      '--kafka',
      system.kafkaBrokers[0]!,
    ];
    const command = apps.run('cli', ['doctor', ...words], {
      ...environmentOf(),
      CONCORDAT_TOKEN: security.credentials.token('observer'),
      NODE_EXTRA_CA_CERTS: security.certificates.caFile,
    });
    await once(command.child, 'close');
    const named = new Namespace({ cluster: state.clusterName });
    for (const topic of ['prepare.bank-a', 'decide.bank-a', 'replies'] as const) {
      expect(command.output()).toContain(`ok       topic: the topic "${named.topic(topic)}" is there`);
    }
    expect(command.output()).toContain(
      `ok       consumer-group: this user may see the group "${named.group('participant.bank-a')}"`,
    );
    expect(command.output()).toMatch(/\n\d+ checks: 0 failures, \d+ warnings?\n$/);
  });

  it.each<[string, () => Environment, string]>([
    [
      'the password of somebody else',
      () => ({ KAFKA_SASL_PASSWORD_FILE: given().security.servers.passwordFile('bank-b') }),
      'broker failure: the brokers refuse the name or the password',
    ],
    [
      'a way in that the broker has not',
      () => ({ KAFKA_SASL_MECHANISM: 'scram-sha-256' }),
      'broker failure: the brokers do not let anybody in by SCRAM-SHA-256',
    ],
    [
      'no name',
      () => ({ KAFKA_SASL_MECHANISM: '', KAFKA_SASL_USERNAME: '', KAFKA_SASL_PASSWORD_FILE: '' }),
      'broker failure: the broker closes the connection without an answer; it probably asks for a name',
    ],
    [
      'another authority',
      () => ({ KAFKA_TLS_CA: given().security.certificates.caFile }),
      'broker failure: no authority that this process trusts has signed the certificate of the broker',
    ],
    [
      'plain text',
      () => ({ KAFKA_TLS_CA: '' }),
      'broker failure: the broker closes connections in plain text without an answer; it probably wants TLS',
    ],
    [
      'a certificate that has ended',
      () => {
        const { certificate, key } = certificateFiles('ended.pem', new Date('2021-01-01T00:00:00Z'));
        return { KAFKA_TLS_CERT: certificate, KAFKA_TLS_KEY: key };
      },
      'is wrong: make it a certificate that is valid now; this one ended on',
    ],
  ])('is asked with %s: the doctor says so', async (_what, changes, sentence) => {
    expect(await doctorLines(changes())).toEqual([expect.stringContaining(sentence)]);
  });

  it('refuses at a listener for certificates whoever shows none, or one that counts no more', async () => {
    const controller = controllerOf(given());
    expect(await doctorLines({}, controller)).toEqual([
      expect.stringContaining('the broker asks for a certificate of this process, and was shown none'),
    ]);
    // the doctor itself would not show it
    const { certificate, key } = certificateFiles('old.pem', new Date('2021-01-01T00:00:00Z'));
    const ca = readFileSync(given().security.servers.caFile, 'utf8');
    const ssl = { ca, cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
    const refused = await inspectTopics({ brokers: [controller], cluster: 'any', ssl }, [REPLIES_TOPIC]).catch(
      (error: unknown) => brokerFault(error, { ssl }).sentence,
    );
    expect(refused).toMatch(
      /the certificate that this process shows the broker has ended|the broker refuses the certi/,
    );
  });

  it('is not spoken to in secret: a process with a wrong password says why it is not connected', async () => {
    const { system, state } = given();
    const read = brokerAccess(
      environmentOf({ KAFKA_SASL_PASSWORD_FILE: '', KAFKA_SASL_PASSWORD: 'secret-canary' }),
      false,
    );
    if (!read.ok) throw new TypeError(JSON.stringify(read.problems));
    const told: string[] = [];
    const bus = new KafkaMessageBus({
      brokers: system.kafkaBrokers,
      cluster: state.clusterName,
      ...read.security,
      logger: { ...silentLogger, warn: (text) => void told.push(text) },
      standingTimeoutMs: 100,
    });
    try {
      await bus.start();
      const sentence = 'the brokers refuse the name or the password';
      await waitFor('the obstacle is known', () => bus.obstacle()?.includes(sentence) === true, { timeoutMs: 30_000 });
      expect(told.filter((text) => text.includes(sentence))).toEqual([
        expect.stringContaining('check KAFKA_SASL_USER'),
      ]);
      expect(JSON.stringify([told, bus.obstacle()])).not.toContain('canary');
    } finally {
      await bus.stop();
    }
  });

  it('passes on a message without a signature, which the coordinators refuse, count and write down', async () => {
    const { system, state, security, coordinators, metrics } = given();
    const { clusterName: cluster } = state;
    const kafka = new kafkajs.Kafka({
      brokers: [...system.kafkaBrokers],
      logLevel: kafkajs.logLevel.NOTHING,
      ...security.servers.brokerAccess(),
    });
    const producer = kafka.producer();
    await producer.connect();
    const leave = encodeMessage(cluster, { type: 'announce', participant: 'bank-a', operations: [], leaving: true });
    const topic = new Namespace({ cluster }).topic(REPLIES_TOPIC);
    await producer.send({ topic, messages: [{ key: 'bank-a', value: leave }] });
    await producer.disconnect();
    const refused = async (): Promise<boolean> => {
      const texts = await Promise.all(coordinators.map(({ url }) => metrics(`${url}/metrics`)));
      return texts.some((text) => /concordat_dead_letters_total\{reason="UNSIGNED"\} [1-9]/.test(text));
    };
    await waitFor('it is counted', refused, { timeoutMs: 30_000, intervalMs: 100 });
    const isAudited = (): boolean => {
      const lines = coordinators.flatMap(({ audit }) =>
        readFileSync(audit, { encoding: 'utf8', flag: 'a+' }).split('\n'),
      );
      return lines.some((line) => line.includes('"event":"refused-message"') && line.includes('UNSIGNED'));
    };
    await waitFor('it is in the audit', isAudited, { timeoutMs: 30_000 });
  });
}
