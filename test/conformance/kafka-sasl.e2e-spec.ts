import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLogger, type Environment } from '@concordat/foundation';
import { KafkaMessageBus, REPLIES_TOPIC } from '@concordat/messaging';
import { brokerAccess } from '../../apps/cli/src/doctor/index.js';
import { LocalSecurity } from '../../apps/lab/src/local-system/security/index.js';
import { startLocalSystem, type LocalSystem } from '../support/local-system.js';
import { waitFor } from '../support/wait-for.js';

jest.setTimeout(120_000);

const CLUSTER = 'sasl';
const USERS = { 'scram-sha-256': 'ada', 'scram-sha-512': 'grace' } as const;
const PASSWORD = 'a-password-of-scram';
const REFUSED = 'the brokers refuse the name or the password';
/** kafkajs shows a token again 10 s before the broker would end the connection. */
const TOKEN_SECONDS = 13;

const login = (module: string): string => `org.apache.kafka.common.security.${module} required;`;
/** The broker of a secured local system, which lets people in by more than PLAIN. */
const PROPERTIES = [
  'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
  `listener.name.broker.scram-sha-256.sasl.jaas.config=${login('scram.ScramLoginModule')}`,
  `listener.name.broker.scram-sha-512.sasl.jaas.config=${login('scram.ScramLoginModule')}`,
  // believes every token that has not ended, as no other broker should
  `listener.name.broker.oauthbearer.sasl.jaas.config=${login('oauthbearer.OAuthBearerLoginModule')}`,
  'listener.name.broker.oauthbearer.connections.max.reauth.ms=3600000',
];

/** Without a signature: Kafka's own handler for development takes no other. */
function tokenOf(subject: string, seconds: number): string {
  const part = (content: object): string => Buffer.from(JSON.stringify(content)).toString('base64url');
  const now = Math.floor(Date.now() / 1_000);
  return `${part({ alg: 'none' })}.${part({ sub: subject, iat: now - 60, exp: now + seconds })}.`;
}

describe('a broker that asks for a name', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'concordat-sasl-'));
  const secretFile = path.join(directory, 'secret');
  const buses: KafkaMessageBus[] = [];
  let system: LocalSystem;
  let ca: string;

  beforeAll(async () => {
    const { KAFKA_BROKERS: _others, ...inherited } = process.env;
    const users = Object.entries(USERS).map(
      ([mechanism, name]) => `--add-scram ${mechanism.toUpperCase()}=[name=${name},password=${PASSWORD}]`,
    );
    system = await startLocalSystem({
      only: ['kafka'],
      isSecure: true,
      environment: {
        ...inherited,
        KAFKA_PROPERTIES: PROPERTIES.join('\n'),
        CONCORDAT_LAB_KAFKA_FORMAT: users.join(' '),
      },
    });
    const { clusterName } = await system.systemFile();
    ca = LocalSecurity.of(system.directory, clusterName).servers.caFile;
  });

  afterEach(() => Promise.all(buses.splice(0).map((bus) => bus.stop())));

  afterAll(async () => {
    await system?.stop();
    rmSync(directory, { recursive: true });
  });

  function writeSecret(text: string): void {
    writeFileSync(secretFile, `${text}\n`, { mode: 0o600 });
  }

  /** By the variables of a coordinator or service. It need not have got in when it is started. */
  async function busWith(variables: Environment): Promise<KafkaMessageBus> {
    const read = brokerAccess({ KAFKA_TLS_CA: ca, KAFKA_SASL_PASSWORD_FILE: secretFile, ...variables }, false);
    if (!read.ok) throw new TypeError(JSON.stringify(read.problems));
    const bus = new KafkaMessageBus({
      brokers: system.kafkaBrokers,
      cluster: CLUSTER,
      ...read.security,
      logger: silentLogger,
      standingTimeoutMs: 100,
    });
    buses.push(bus);
    await bus.start();
    return bus;
  }

  /** Makes the topic if need be, and listens to it. @returns says something in the name of a participant, and hears it */
  async function conversation(bus: KafkaMessageBus, group: string): Promise<(participant: string) => Promise<void>> {
    await bus.ensureTopics([REPLIES_TOPIC]);
    const heard: string[] = [];
    await bus.subscribe({
      group,
      topics: [REPLIES_TOPIC],
      onMessage: (message) => void heard.push('participant' in message ? message.participant : message.type),
    });
    return async (participant) => {
      await bus.publish([{ topic: REPLIES_TOPIC, message: { type: 'announce', participant, operations: [] } }]);
      await waitFor(`${participant} is heard`, () => heard.includes(participant), { timeoutMs: 30_000 });
    };
  }

  async function expectRefusal(bus: KafkaMessageBus, sentence: string): Promise<void> {
    await waitFor('the obstacle is known', () => bus.obstacle()?.includes(sentence) === true, { timeoutMs: 30_000 });
    expect(bus.obstacle()).not.toContain(PASSWORD);
  }

  describe.each(['scram-sha-256', 'scram-sha-512'] as const)('by %s', (mechanism) => {
    const user = { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: USERS[mechanism] };

    it('lets its user in, who makes topics, produces and consumes', async () => {
      writeSecret(PASSWORD);
      const say = await conversation(await busWith(user), `group-of-${mechanism}`);
      await say(`one-${mechanism}`);
      await say(`two-${mechanism}`);
    });

    it('refuses another password, and lets in with the right one, without a restart', async () => {
      writeSecret('another-password');
      const bus = await busWith(user);
      await expectRefusal(bus, REFUSED);
      writeSecret(PASSWORD);
      const say = await conversation(bus, `later-group-of-${mechanism}`);
      await say(`three-${mechanism}`);
    });

    it('refuses the user of another mechanism, and whom it does not know', async () => {
      writeSecret(PASSWORD);
      const [, other] = Object.entries(USERS).find(([name]) => name !== mechanism)!;
      await expectRefusal(await busWith({ ...user, KAFKA_SASL_USERNAME: other }), REFUSED);
      await expectRefusal(await busWith({ ...user, KAFKA_SASL_USERNAME: 'nobody' }), REFUSED);
    });
  });

  describe('by oauthbearer', () => {
    const bearer = { KAFKA_SASL_MECHANISM: 'oauthbearer' };

    it('lets the bearer of a token in, beyond its end when it was replaced in time', async () => {
      const token = tokenOf('first', TOKEN_SECONDS);
      const endsAt = Date.now() + TOKEN_SECONDS * 1_000;
      writeSecret(token);
      const bus = await busWith(bearer);
      const say = await conversation(bus, 'bearers');
      await say('with-the-first-token');
      writeSecret(tokenOf('first', 3_600)); // the broker takes no token of somebody else on an open connection
      await waitFor('the first token has ended', () => Date.now() > endsAt + 1_000, { timeoutMs: 30_000 });
      await say('after-its-end');
      expect(bus.obstacle()).toBeUndefined();
    });

    it('refuses a token that has ended, and what is none', async () => {
      writeSecret(tokenOf('late', -30));
      await expectRefusal(await busWith(bearer), 'the brokers refuse the token');
      writeSecret('no-token');
      await expectRefusal(await busWith(bearer), 'the brokers refuse the token');
    });
  });
});
