import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { aesCodec, ConcordatClient } from '@concordat/client';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { silentLogger, SystemClock } from '@concordat/foundation';
import {
  decideTopic,
  KafkaMessageBus,
  MessageSignatures,
  Namespace,
  prepareTopic,
  REPLIES_TOPIC,
  type Topic,
} from '@concordat/messaging';
import kafkajs from 'kafkajs';
import { AppProcesses, freePort, type AppProcess } from '../support/app-processes.js';
import { startKafka, type TestKafka } from '../support/kafka.js';
import { DIED_OF_AN_ERROR, dieOfAnError, mortal } from '../support/dying-process.js';
import { KeyDirectory } from '../support/key-directory.js';
import { waitFor } from '../support/wait-for.js';

jest.setTimeout(180_000);

const CLUSTER = 'canaries';
const PARTICIPANT = 'ghost';
const SENDER = `participant:${PARTICIPANT}` as const;
const canary = (name: string): string => `canary-of-${name}-7f3a9c51e2`;
const PLANTED = {
  environment: canary('the-environment'),
  databasePassword: canary('a-database'),
  contextKey: canary('contexts'),
  wrongToken: canary('a-wrong-token'),
  payload: canary('a-payload'),
  jwksPassword: canary('an-issuer'),
};

/** Every text that must be seen nowhere: what was planted, and what the test was given. */
class Secrets {
  readonly all: string[] = Object.values(PLANTED);

  foundIn(text: string | Buffer): string[] {
    return this.all.filter((secret) => text.includes(secret));
  }
}

/** All files below a directory, with their modes. */
function filesIn(directory: string): { file: string; mode: number; isDirectory: boolean }[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true }).flatMap((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() && !entry.isDirectory()) return [];
    return [{ file, mode: statSync(file).mode & 0o777, isDirectory: entry.isDirectory() }];
  });
}

describe('secrets and payloads that were planted everywhere', () => {
  const secrets = new Secrets();
  const apps = new AppProcesses();
  const directory = mkdtempSync(path.join(tmpdir(), 'concordat-canaries-'));
  const dataDirectory = path.join(directory, 'data');
  const auditFile = path.join(directory, 'audit');
  const keys = new KeyDirectory(['coordinator', SENDER]);
  let kafka: TestKafka;
  let coordinator: AppProcess;
  let bus: KafkaMessageBus;
  let url: string;
  let token: string;
  const prepared: ProtocolMessage[] = [];

  beforeAll(async () => {
    kafka = await startKafka();
    const made = apps.run('cli', ['token', 'create', '--role', 'client', '--role', 'observer', '--role', 'metrics']);
    await waitFor('the token was printed', () => /^sha256:.+$/m.test(made.output()), { timeoutMs: 30_000 });
    token = /^cct_.+$/m.exec(made.output())![0];
    const tokenFile = path.join(directory, 'tokens');
    writeFileSync(tokenFile, `${/^sha256:.+$/m.exec(made.output())![0]}\n`, { mode: 0o600 });
    secrets.all.push(token);
    for (const sender of ['coordinator', SENDER] as const) {
      const { d } = JSON.parse(readFileSync(keys.signingKeyFile(sender), 'utf8')) as { d: string };
      secrets.all.push(d);
    }
    const [http, raft] = [await freePort(), await freePort()];
    url = `http://127.0.0.1:${http}`;
    coordinator = apps.run('cli', ['server'], {
      CONCORDAT_NODE_ID: '1',
      CONCORDAT_PEERS: `1=127.0.0.1:${raft}/127.0.0.1:${http}`,
      CONCORDAT_DATA_DIR: dataDirectory,
      CONCORDAT_CLUSTER: CLUSTER,
      CONCORDAT_AUTH_TOKEN_FILE: tokenFile,
      CONCORDAT_AUDIT_FILE: auditFile,
      CONCORDAT_LOG_LEVEL: 'debug',
      KAFKA_BROKERS: kafka.brokers.join(','),
      CONCORDAT_SIGNATURES: 'require',
      CONCORDAT_SIGNING_KEY_FILE: keys.signingKeyFile('coordinator'),
      CONCORDAT_TRUSTED_KEYS_FILE: keys.trustedKeysFile,
      // other services of the machine
      ...mortal(PLANTED.environment),
      DATABASE_URL: `postgres://u:${PLANTED.databasePassword}@127.0.0.1/d`,
      CONCORDAT_CONTEXT_KEY: PLANTED.contextKey,
    });
    const isReady = (): Promise<boolean> =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await waitFor('the coordinator is ready', isReady, { timeoutMs: 90_000 });
    bus = await participantBus();
  });

  afterAll(async () => {
    await bus?.stop();
    await apps.endAll();
    await kafka?.stop();
    keys.remove();
    rmSync(directory, { recursive: true });
  });

  /** It announces itself, and refuses all work: what matters here has been on its way by then. */
  async function participantBus(): Promise<KafkaMessageBus> {
    const signatures = new MessageSignatures({
      mode: 'require',
      cluster: CLUSTER,
      sender: SENDER,
      signingKeyFile: keys.signingKeyFile(SENDER),
      trustedKeysFile: keys.trustedKeysFile,
      clock: new SystemClock(),
      logger: silentLogger,
    });
    const made = new KafkaMessageBus({ brokers: kafka.brokers, cluster: CLUSTER, signatures });
    await made.start();
    const topics = [prepareTopic(PARTICIPANT), decideTopic(PARTICIPANT)];
    await made.ensureTopics(topics);
    await made.subscribe({
      group: `participant.${PARTICIPANT}`,
      topics,
      onMessage: async (message) => {
        if (message.type !== 'commit-one-phase' && message.type !== 'prepare') return;
        prepared.push(message);
        const { transactionId, branchId } = message;
        const error = { code: 'REFUSED', message: 'always' };
        const address = { transactionId, branchId, participant: PARTICIPANT };
        const answer: ProtocolMessage =
          message.type === 'prepare'
            ? { ...address, type: 'vote', vote: 'no', results: [], error }
            : { ...address, type: 'done', end: 'aborted', error };
        await made.publish([{ topic: REPLIES_TOPIC, message: answer }]);
      },
    });
    await made.publish([
      { topic: REPLIES_TOPIC, message: { type: 'announce', participant: PARTICIPANT, operations: ['work'] } },
    ]);
    return made;
  }

  /** The bytes of every record of the cluster's topics. */
  async function everythingOnTopics(): Promise<string> {
    const client = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING });
    const names: readonly Topic[] = [
      'replies',
      'outcomes',
      'dead-letter',
      prepareTopic(PARTICIPANT),
      decideTopic(PARTICIPANT),
    ];
    const topics = names.map((name) => new Namespace({ cluster: CLUSTER }).topic(name));
    const admin = client.admin();
    await admin.connect();
    let expected = 0;
    for (const topic of topics) {
      for (const { high, low } of await admin.fetchTopicOffsets(topic)) expected += Number(high) - Number(low);
    }
    await admin.disconnect();
    const consumer = client.consumer({ groupId: 'canaries' });
    const records: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ topic, message }) => {
        records.push(`${topic} ${String(message.key)} ${String(message.value)} ${JSON.stringify(message.headers)}`);
      },
    });
    await waitFor('all records were read', () => records.length >= expected, { timeoutMs: 60_000 });
    await consumer.disconnect();
    return records.join('\n');
  }

  async function answersTo(requests: readonly (readonly [string, RequestInit])[]): Promise<string> {
    const texts = requests.map(async ([target, init]) => {
      const answer = await fetch(`${url}${target}`, init);
      return `${answer.status} ${JSON.stringify([...answer.headers])} ${await answer.text()}`;
    });
    return (await Promise.all(texts)).join('\n');
  }

  it('are seen in no log, metric, problem, topic, process list, data directory or crash', async () => {
    const codec = aesCodec({ id: 'k1', key: new Uint8Array(32).fill(7) });
    const client = new ConcordatClient({ coordinators: [url], token, payloadCodecs: [codec] });
    const work = { participant: PARTICIPANT, operation: 'work', payload: { secret: PLANTED.payload } };
    await waitFor(
      'the participant is known',
      async () => {
        const failure = await client.execute([work]).catch((error: unknown) => error);
        return (failure as { code?: string }).code === 'TRANSACTION_ABORTED' && prepared.length > 0;
      },
      { timeoutMs: 60_000, intervalMs: 500 },
    );
    expect(JSON.stringify(await client.listPage())).toContain(PLANTED.payload); // who has the codec sees it
    const bearer = (text: string): RequestInit => ({ headers: { authorization: `Bearer ${text}` } });
    const answers = await answersTo([
      ['/metrics', bearer(token)],
      ['/v1/transactions', bearer(token)],
      ['/v1/transactions', bearer(PLANTED.wrongToken)],
      ['/v1/transactions', bearer(`cct_${PLANTED.wrongToken}`)],
      ['/v1/in-doubt', bearer(token)],
      ['/v1/locks/x', { method: 'PUT', ...bearer(token) }],
      ['/v1/transactions', { method: 'POST', ...bearer(token), body: '{' }],
      ['/v1/cluster', bearer(token)],
      ['/readyz', {}],
      ['/nothing', bearer(token)],
    ]);
    expect(answers).toContain('concordat_dead_letters_total');
    expect(secrets.foundIn(answers)).toEqual([]);

    const raw = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).producer();
    await raw.connect();
    const forged = { key: 'x', value: JSON.stringify({ ...prepared[0], v: 1, cluster: CLUSTER }) };
    await raw.send({ topic: new Namespace({ cluster: CLUSTER }).topic(REPLIES_TOPIC), messages: [forged] });
    await raw.disconnect();
    const letters = async (): Promise<boolean> =>
      /reason="UNSIGNED"\} 1/.test(await answersTo([['/metrics', bearer(token)]]));
    await waitFor('the forged message is a dead letter', letters, { timeoutMs: 30_000 });
    const onTopics = await everythingOnTopics();
    expect(onTopics).toContain('"$codec":"k1"');
    expect(onTopics).toContain('concordat-reason');
    expect(secrets.foundIn(onTopics)).toEqual([]);

    expect(secrets.foundIn(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }))).toEqual([]);
    expect(await dieOfAnError(coordinator)).toBe(DIED_OF_AN_ERROR);
    expect(coordinator.output()).toMatch(/an uncaught error stops the node\n.*nobody catches this/);
    expect(coordinator.output()).toContain('dead letter');
    expect(secrets.foundIn(coordinator.output())).toEqual([]);
    expect(secrets.foundIn(readFileSync(auditFile))).toEqual([]);

    const files = filesIn(dataDirectory);
    expect(files.some(({ file }) => contentOf(file).includes('$codec'))).toBe(true);
    for (const { file, mode, isDirectory } of files) {
      expect([file, mode]).toEqual([file, isDirectory ? 0o700 : 0o600]);
      expect(secrets.foundIn(contentOf(file))).toEqual([]);
    }
    expect(statSync(dataDirectory).mode & 0o777).toBe(0o700);
  });

  it('are not in what a process says that does not start', async () => {
    const broken = apps.run('cli', ['server'], {
      CONCORDAT_NODE_ID: '1',
      CONCORDAT_AUTH_JWKS_URL: `https://user:${PLANTED.jwksPassword}@issuer.example/keys`,
      SOME_SECRET: PLANTED.environment,
      DATABASE_URL: `postgres://u:${PLANTED.databasePassword}@127.0.0.1/d`,
    });
    const bank = apps.run('bank', [], { DATABASE_URL: `mysql://u:${PLANTED.databasePassword}@127.0.0.1/d` });
    for (const process of [broken, bank]) {
      await waitFor('it has ended', () => process.child.exitCode !== null, { timeoutMs: 60_000 });
      expect(process.child.exitCode).not.toBe(0);
      expect(process.output()).not.toBe('');
      expect(secrets.foundIn(process.output())).toEqual([]);
    }
  });

  function contentOf(file: string): Buffer {
    return statSync(file).isDirectory() ? Buffer.alloc(0) : readFileSync(file);
  }
});
