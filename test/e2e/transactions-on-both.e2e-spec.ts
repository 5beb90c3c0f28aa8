import { describe, expect, it, jest } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import { credit, debit } from '../support/rest.js';
import { IS_NIGHTLY } from '../support/nightly.js';
import { waitFor } from '../support/wait-for.js';
import { describeGarbage } from './broker-garbage.js';
import { describeCrashPoints } from './crash-points-suite.js';
import { useSystem } from './system.js';
import { describeTransactions } from './transactions-suite.js';

jest.setTimeout(180_000);

describe('a whole system on real PostgreSQL with direct streams beside Kafka', () => {
  const system = useSystem('both');

  describeTransactions(system);
  describeCrashPoints(system);
  if (IS_NIGHTLY) describeGarbage(system); // by day it goes to the same topics on Kafka alone

  it('kill -9 of the broker: work goes on, also with another leader and a restarted bank, and outcomes follow', async () => {
    const broker = `127.0.0.1:${system.process('kafka').ports['broker']}`;
    const outcomes = async (): Promise<number> => {
      const admin = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      const offsets = await admin.fetchTopicOffsets('concordat.local.outcomes');
      await admin.disconnect();
      return offsets.reduce((sum, { high }) => sum + Number(high), 0);
    };
    const transfer = async (): Promise<void> => {
      const answer = await system.client().execute([debit('acc-24', 1), credit('acc-24', 1)]);
      expect(answer).toMatchObject({ status: 200, body: { outcome: 'committed' } });
    };
    await transfer();
    await system.settled(); // an answer comes with the decision, before the banks have committed
    const before = await system.balance('bank-b', 'acc-24');
    await waitFor('the outcome is published', async () => (await outcomes()) > 0);
    const published = await outcomes();
    system.kill('kafka');
    await system.waitUntilDead('kafka');
    await transfer();
    const leader = await system.leader();
    system.kill(leader);
    await system.waitUntilDead(leader);
    await transfer();
    await system.restart(leader);
    system.kill('bank-b');
    await system.waitUntilDead('bank-b');
    await system.restart('bank-b');
    await transfer();
    await system.settled();
    expect(await system.balance('bank-b', 'acc-24')).toBe(before + 3);
    await system.restart('kafka');
    await waitFor('the outcomes of the outage are published', async () => (await outcomes()) >= published + 3, {
      timeoutMs: 60_000,
      intervalMs: 200,
    });
    await transfer();
  });
});
