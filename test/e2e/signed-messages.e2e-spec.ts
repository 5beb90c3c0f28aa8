import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ConcordatClient } from '@concordat/client';
import { decideTopic, encodeMessage, Namespace, REPLIES_TOPIC, type Topic } from '@concordat/messaging';
import kafkajs, { type IHeaders, type Producer } from 'kafkajs';
import { AppProcesses, freePort, type AppProcess } from '../support/app-processes.js';
import { KeyDirectory } from '../support/key-directory.js';
import { startLocalSystem, type LocalSystem } from '../support/local-system.js';
import { call } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';

jest.setTimeout(180_000);

const CLUSTER = 'signed';
const SIGNATURE = 'concordat-signature';
const SENDERS = ['coordinator', 'participant:bank-a', 'participant:bank-b'] as const;

describe('a cluster that requires signatures', () => {
  const apps = new AppProcesses();
  const keys = new KeyDirectory(SENDERS);
  const directory = mkdtempSync(path.join(tmpdir(), 'concordat-signed-'));
  const namespace = new Namespace({ cluster: CLUSTER });
  let system: LocalSystem;
  let client: ConcordatClient;
  let coordinatorUrl: string;
  const bankUrls: string[] = [];
  let coordinator: AppProcess;
  let producer: Producer;
  let kafka: kafkajs.Kafka;

  beforeAll(async () => {
    system = await startLocalSystem({ only: ['kafka', 'postgres-a', 'postgres-b'] });
    kafka = new kafkajs.Kafka({ brokers: [...system.kafkaBrokers], logLevel: kafkajs.logLevel.NOTHING });
    producer = kafka.producer();
    await producer.connect();
    const [http, raft] = [await freePort(), await freePort()];
    coordinatorUrl = `http://127.0.0.1:${http}`;
    coordinator = apps.run('cli', ['server'], {
      ...settingsOf('coordinator'),
      CONCORDAT_FAILPOINTS: 'on',
      CONCORDAT_NODE_ID: '1',
      CONCORDAT_PEERS: `1=127.0.0.1:${raft}/127.0.0.1:${http}`,
      CONCORDAT_DATA_DIR: path.join(directory, 'data'),
    });
    await ready(coordinatorUrl);
    const { processes } = await system.systemFile();
    for (const letter of ['a', 'b'] as const) {
      const port = await freePort();
      apps.run('bank', [], {
        ...settingsOf(`participant:bank-${letter}`),
        CONCORDAT_PARTICIPANT: `bank-${letter}`,
        CONCORDAT_HTTP: `127.0.0.1:${port}`,
        CONCORDAT_TERMINATION_TIMEOUT_MS: '1000',
        DATABASE_URL: processes.find(({ name }) => name === `postgres-${letter}`)!.databaseUrl!,
      });
      await ready(`http://127.0.0.1:${port}`);
      bankUrls.push(`http://127.0.0.1:${port}`);
    }
    client = new ConcordatClient({ coordinators: [coordinatorUrl] });
    for (const participant of ['bank-a', 'bank-b']) {
      const look = { participant, operation: 'read', payload: { account: 'acc-1' } };
      const hasAnnounced = (): Promise<boolean> =>
        client.execute([look]).then(
          () => true,
          () => false,
        );
      await waitFor(`${participant} has announced itself`, hasAnnounced, { timeoutMs: 30_000, intervalMs: 100 });
    }
  });

  afterAll(async () => {
    await producer?.disconnect();
    await apps.endAll();
    await system?.stop();
    keys.remove();
    rmSync(directory, { recursive: true });
  });

  function settingsOf(sender: (typeof SENDERS)[number]): NodeJS.ProcessEnv {
    return {
      CONCORDAT_CLUSTER: CLUSTER,
      KAFKA_BROKERS: system.kafkaBrokers.join(','),
      CONCORDAT_SIGNATURES: 'require',
      CONCORDAT_SIGNING_KEY_FILE: keys.signingKeyFile(sender),
      CONCORDAT_TRUSTED_KEYS_FILE: keys.trustedKeysFile,
    };
  }

  async function ready(url: string): Promise<void> {
    const isReady = (): Promise<boolean> =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await waitFor(`${url} is ready`, isReady, { timeoutMs: 90_000 });
  }

  async function deadLetters(url: string, reason: string): Promise<number> {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(new RegExp(`dead_letters_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
  }

  function transfer(protocol: '2pc' | '3pc', signal?: AbortSignal) {
    const works = [
      { participant: 'bank-a', operation: 'debit', payload: { account: 'acc-1', amount: 1 } },
      { participant: 'bank-b', operation: 'credit', payload: { account: 'acc-2', amount: 1 } },
    ];
    return client.execute(works, { protocol }, { wait: 'ended', signal });
  }

  async function forge(topic: Topic, key: string, value: Buffer, headers: IHeaders): Promise<void> {
    await producer.send({ topic: namespace.topic(topic), messages: [{ key, value, headers }] });
  }

  /** A record of a topic with its signature. */
  async function signedRecord(topic: Topic): Promise<{ key: string; value: Buffer; headers: IHeaders }> {
    const consumer = kafka.consumer({ groupId: `look-${randomUUID()}` });
    await consumer.connect();
    await consumer.subscribe({ topics: [namespace.topic(topic)], fromBeginning: true });
    const found: { key: string; value: Buffer; headers: IHeaders }[] = [];
    await consumer.run({
      eachMessage: async ({ message: { key, value, headers } }) => {
        if (headers?.[SIGNATURE] && value) found.push({ key: String(key), value, headers });
      },
    });
    await waitFor('a signed record', () => found.length > 0, { timeoutMs: 30_000 });
    await consumer.disconnect();
    return found[0]!;
  }

  it.each(['2pc', '3pc'] as const)('commits in %s as without them', async (protocol) => {
    const { settled, transaction } = await transfer(protocol);
    expect([settled, transaction.outcome]).toEqual([true, 'committed']);
    for (const url of [coordinatorUrl, ...bankUrls]) {
      for (const reason of ['UNSIGNED', 'INVALID_SIGNATURE', 'UNKNOWN_KEY', 'NOT_ALLOWED_TO_SAY']) {
        expect(await deadLetters(url, reason)).toBe(0);
      }
    }
  });

  it('is moved by no forged decision, vote or announcement, counts them, and goes on', async () => {
    const { id, branches } = await client.begin({ timeoutMs: 60_000 });
    expect(branches).toEqual([]);
    const payload = { account: 'acc-1', amount: 5 };
    const branch = await client.enlist(id, { participant: 'bank-a', operation: 'debit', payload });
    const address = { transactionId: id, branchId: branch.branchId, participant: 'bank-a' };
    const decision = encodeMessage(CLUSTER, { ...address, type: 'decision', decision: 'commit', attempt: 0 });
    const vote = encodeMessage(CLUSTER, { ...address, type: 'vote', vote: 'no', results: [] });
    const leave = encodeMessage(CLUSTER, { type: 'announce', participant: 'bank-a', operations: [], leaving: true });
    await forge(decideTopic('bank-a'), id, decision, {});
    await forge(REPLIES_TOPIC, id, vote, {});
    await forge(REPLIES_TOPIC, 'bank-a', leave, {});
    const record = await signedRecord(REPLIES_TOPIC);
    await forge(REPLIES_TOPIC, id, vote, record.headers); // the signature of another message
    await forge(decideTopic('bank-a'), record.key, record.value, record.headers); // on another topic
    await waitFor('the coordinator has refused three', async () => {
      const counts = [
        await deadLetters(coordinatorUrl, 'UNSIGNED'),
        await deadLetters(coordinatorUrl, 'INVALID_SIGNATURE'),
      ];
      return counts[0] === 2 && counts[1] === 1;
    });
    await waitFor('the bank has refused two', async () => {
      const bankUrl = bankUrls[0]!;
      const counts = [await deadLetters(bankUrl, 'UNSIGNED'), await deadLetters(bankUrl, 'INVALID_SIGNATURE')];
      return counts[0] === 1 && counts[1] === 1;
    });
    expect((await client.get(id)).status).toBe('active');
    const { transaction } = await client.commit(id, { wait: 'ended' });
    expect(transaction.outcome).toBe('committed');
    expect((await transfer('2pc')).transaction.outcome).toBe('committed');
  });

  it('lets the branches of three phases decide among themselves when no coordinator is left', async () => {
    const before = await Promise.all(bankUrls.map(balances));
    const arm = 'coordinator.ballot-answer.received=kill@2';
    expect((await call('PUT', `${coordinatorUrl}/debug/failpoints`, { arm })).status).toBe(200);
    const asking = new AbortController();
    transfer('3pc', asking.signal).catch(() => undefined); // its coordinator dies
    const hasDied = (): boolean => coordinator.child.exitCode !== null || coordinator.child.signalCode !== null;
    await waitFor('the coordinator is dead', hasDied, { timeoutMs: 30_000 });
    const moved = async (): Promise<boolean> => {
      const [a, b] = await Promise.all(bankUrls.map(balances));
      return a!['acc-1'] === before[0]!['acc-1']! - 1 && b!['acc-2'] === before[1]!['acc-2']! + 1;
    };
    asking.abort();
    await waitFor('both branches have committed', moved, { timeoutMs: 60_000, intervalMs: 100 });
    for (const url of bankUrls) expect(await deadLetters(url, 'NOT_ALLOWED_TO_SAY')).toBe(0);
  });

  async function balances(url: string): Promise<Record<string, number>> {
    const { body } = await call<{ items: { id: string; balance: number }[] }>('GET', `${url}/accounts`);
    return Object.fromEntries(body.items.map(({ id, balance }) => [id, balance]));
  }
});
