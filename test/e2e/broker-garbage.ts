import { randomUUID } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { Kafka, logLevel } from 'kafkajs';
import { credit, debit } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';
import type { SystemUnderTest } from './system.js';

/** What holds on every link that has a broker. */
export function describeGarbage(system: SystemUnderTest): void {
  it('puts garbage from Kafka aside and goes on', async () => {
    const broker = `127.0.0.1:${system.process('kafka').ports['broker']}`;
    const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING });
    const producer = kafka.producer();
    await producer.connect();
    const unknown = JSON.stringify({ v: 99, type: 'vote' });
    const foreign = JSON.stringify({
      v: 1,
      cluster: 'other',
      type: 'announce',
      participant: 'bank-a',
      operations: [],
    });
    const stranger = JSON.stringify({
      v: 1,
      cluster: 'local',
      type: 'vote',
      transactionId: randomUUID(),
      branchId: randomUUID(),
      participant: 'bank-a',
      vote: 'maybe',
      results: [],
    });
    for (const topic of ['replies', 'prepare.bank-a', 'decide.bank-a']) {
      const messages = ['{', unknown, stranger, foreign, ''].map((value) => ({ key: 'x', value }));
      await producer.send({ topic: `concordat.local.${topic}`, messages });
    }
    await producer.disconnect();
    const answer = await system.execute([debit('acc-16', 1), credit('acc-16', 1)]);
    expect(answer.status).toBe(200);
    const admin = kafka.admin();
    await admin.connect();
    await waitFor('all fifteen are dead letters', async () => {
      const offsets = await admin.fetchTopicOffsets('concordat.local.dead-letter');
      return offsets.reduce((sum, { high }) => sum + Number(high), 0) >= 15;
    });
    await admin.disconnect();
  });
}
