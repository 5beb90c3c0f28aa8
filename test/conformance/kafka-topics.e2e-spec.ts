import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Logger } from '@concordat/foundation';
import {
  brokerFault,
  decideTopic,
  inspectTopics,
  KafkaMessageBus,
  type MessageBus,
  type MessageSender,
  type Topic,
} from '@concordat/messaging';
import kafkajs, { type Admin } from 'kafkajs';
import { startKafka, type TestKafka } from '../support/kafka.js';
import { waitFor } from '../support/wait-for.js';
import { SUITE } from './broker-suite.js';
import { numbered, numberOf } from './message-bus-suite.js';

jest.setTimeout(120_000);

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } = kafkajs;
const AUTHORIZER = [
  'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'allow.everyone.if.no.acl.found=true',
];
const ANYBODY = { principal: 'User:*', host: '*' };
const CLUSTER = {
  resourceType: AclResourceTypes.CLUSTER,
  resourceName: 'kafka-cluster',
  resourcePatternType: ResourcePatternTypes.LITERAL,
};
const EVERY_TOPIC = {
  resourceType: AclResourceTypes.TOPIC,
  resourceName: '*',
  resourcePatternType: ResourcePatternTypes.LITERAL,
};
/** The broker's own topics are not among them: it makes them with the rights of whoever needs them. */
const OUR_TOPICS = {
  resourceType: AclResourceTypes.TOPIC,
  resourceName: SUITE.topic('' as Topic),
  resourcePatternType: ResourcePatternTypes.PREFIXED,
};
const CREATION_DENIED = { operation: AclOperationTypes.CREATE, permissionType: AclPermissionTypes.DENY };

/** All rights but that to make topics of ours: neither by name nor on the cluster. */
async function denyCreation(admin: Admin): Promise<void> {
  const everything = { operation: AclOperationTypes.ALL, permissionType: AclPermissionTypes.ALLOW };
  await admin.createAcls({
    acl: [
      { ...ANYBODY, ...CLUSTER, ...everything },
      { ...ANYBODY, ...EVERY_TOPIC, ...everything },
      { ...ANYBODY, ...CLUSTER, ...CREATION_DENIED },
      { ...ANYBODY, ...OUR_TOPICS, ...CREATION_DENIED },
    ],
  });
}

describe('the Kafka bus where only an administrator makes topics', () => {
  let kafka: TestKafka;
  let admin: Admin;
  const buses: MessageBus[] = [];
  const told: string[] = [];
  const note = (text: string): void => void told.push(text);
  const logger: Logger = { debug: () => undefined, info: () => undefined, warn: note, error: note };

  beforeAll(async () => {
    kafka = await startKafka(AUTHORIZER);
    admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    // made while everybody still may
    for (const topic of ['replies', 'small', 'hidden'].map(named)) {
      const entries = [{ name: 'max.message.bytes', value: topic === named('small') ? '1000' : '2300000' }];
      // kafkajs itself waits in vain for a broker that does not know its new topic at once
      await admin.createTopics({
        topics: [{ topic, numPartitions: 1, configEntries: entries }],
        waitForLeaders: false,
      });
    }
    await waitFor('the topics are known', async () => (await admin.listTopics()).length >= 3, { timeoutMs: 30_000 });
    await denyCreation(admin);
  });

  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.stop()));
    told.length = 0;
  });

  afterAll(async () => {
    await admin?.disconnect();
    await kafka?.stop();
  });

  const named = (topic: string): string => SUITE.topic(topic as Topic);

  async function startedBus(): Promise<MessageBus> {
    const bus = new KafkaMessageBus({ brokers: kafka.brokers, cluster: SUITE.cluster, logger });
    buses.push(bus);
    await bus.start();
    return bus;
  }

  it('uses topics that are there', async () => {
    const bus = await startedBus();
    await bus.ensureTopics(['replies']);
    const seen: number[] = [];
    await bus.subscribe({
      group: `group-${randomUUID()}`,
      topics: ['replies'],
      start: 'committed',
      onMessage: (message) => void seen.push(numberOf(message)),
    });
    await bus.publish([numbered('replies', 7)]);
    await waitFor('the message came', () => seen.includes(7), { timeoutMs: 30_000 });
    expect(bus.obstacle()).toBeUndefined();
    // a young broker still loads what it knows of groups
    expect(told.filter((sentence) => !sentence.includes('coordinator is loading'))).toEqual([]);
  });

  it('lets topics be looked at, and creates none', async () => {
    const resource = { ...EVERY_TOPIC, resourceName: named('hidden') };
    const denied = { operation: AclOperationTypes.DESCRIBE, permissionType: AclPermissionTypes.DENY };
    await admin.createAcls({ acl: [{ ...ANYBODY, ...resource, ...denied }] });
    const options = { brokers: kafka.brokers, cluster: SUITE.cluster, logger };
    const look = async (...topics: string[]): Promise<string[]> =>
      (await inspectTopics(options, topics as Topic[])).map((finding) => `${finding.topic} ${finding.state}`);
    await waitFor('the ACL counts', async () => (await look('hidden'))[0] === `${named('hidden')} unusable`);
    expect(await look('replies', 'small', 'hidden', 'decide.nobody')).toEqual([
      `${named('replies')} usable`,
      `${named('small')} unusable`,
      `${named('hidden')} unusable`,
      `${named('decide.nobody')} unusable`,
    ]);
    expect(await admin.listTopics()).not.toContain(named('decide.nobody'));
    const overTls = inspectTopics({ ...options, ssl: true }, ['replies']);
    const sentence = await overTls.catch((error: unknown) => brokerFault(error, { ssl: true }).sentence);
    expect(sentence).toBe('this process speaks TLS, and the broker does not speak it at this address');
  });

  it('names a topic that is missing and the right that is, and goes on when the right was granted', async () => {
    const bus = await startedBus();
    const topic = decideTopic(`p-${randomUUID()}`);
    const ready = bus.ensureTopics([topic]);
    await waitFor('the obstacle is known', () => bus.obstacle() !== undefined, { timeoutMs: 30_000 });
    expect(bus.obstacle()).toContain(`the topic "${named(topic)}" does not exist, and this user may not create it`);
    expect(bus.obstacle()).toContain('grant Create on it or on the cluster');
    await admin.deleteAcls({ filters: [{ ...ANYBODY, ...OUR_TOPICS, ...CREATION_DENIED }] });
    await ready;
    expect(bus.obstacle()).toBeUndefined();
    expect(told.filter((text) => text.includes(named(topic)))).toHaveLength(1); // said once, not at each attempt
    const other = decideTopic(`p-${randomUUID()}`);
    const options = { brokers: kafka.brokers, cluster: SUITE.cluster, logger };
    expect(await inspectTopics(options, [other])).toEqual([
      expect.objectContaining({ topic: named(other), state: 'missing' }),
    ]);
    expect(await admin.listTopics()).not.toContain(named(other));
  });

  it('says that it does not consume, and which right is missing, while it may not read in its group', async () => {
    const group = `group-${randomUUID()}`;
    const resource = {
      resourceType: AclResourceTypes.GROUP,
      resourceName: SUITE.group(group),
      resourcePatternType: ResourcePatternTypes.LITERAL,
    };
    const denied = { operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.DENY };
    await admin.createAcls({ acl: [{ ...ANYBODY, ...resource, ...denied }] });
    const bus = await startedBus();
    const subscription = await bus.subscribe({ group, topics: ['replies'], onMessage: () => undefined });
    await waitFor('the obstacle is known', () => bus.obstacle() !== undefined, { timeoutMs: 30_000 });
    expect(bus.obstacle()).toContain(`the subscription of the group "${SUITE.group(group)}" does not stand`);
    expect(bus.obstacle()).toContain('check that this user has Read on the group');
    expect([bus.isConnected(), subscription.idleMs()]).toEqual([true, Infinity]);
    await admin.deleteAcls({ filters: [{ ...ANYBODY, ...resource, ...denied }] });
    await waitFor('it consumes', () => subscription.idleMs() < 5_000, { timeoutMs: 30_000 });
    expect(bus.obstacle()).toBeUndefined();
  });

  it('sees that a topic may be described and not read, before anything is to be read', async () => {
    const topic = named('replies');
    const resource = { ...EVERY_TOPIC, resourceName: topic };
    const denied = { operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.DENY };
    await admin.createAcls({ acl: [{ ...ANYBODY, ...resource, ...denied }] });
    const look = { brokers: kafka.brokers, cluster: SUITE.cluster, logger };
    const stateFor = async (role?: MessageSender): Promise<string | undefined> =>
      (await inspectTopics({ ...look, ...(role && { role }) }, ['replies']))[0]?.state;
    await waitFor('the ACL counts', async () => (await stateFor('coordinator')) === 'unusable');
    const bus = new KafkaMessageBus({ ...look, role: 'coordinator' });
    buses.push(bus);
    await bus.start();
    const ready = bus.ensureTopics(['replies']);
    await waitFor('the obstacle is known', () => bus.obstacle() !== undefined, { timeoutMs: 30_000 });
    const sentence = `this user may describe the topic "${topic}" and has not the right to Read it: grant Read on it`;
    expect(bus.obstacle()).toContain(sentence);
    // a participant only writes there, and who says nothing of itself is not asked
    expect([await stateFor('participant:bank-a'), await stateFor()]).toEqual(['usable', 'usable']);
    await admin.deleteAcls({ filters: [{ ...ANYBODY, ...resource, ...denied }] });
    await ready;
    expect(bus.obstacle()).toBeUndefined();
  });

  it('names a topic whose messages are too small, and what to set', async () => {
    const bus = await startedBus();
    bus.ensureTopics(['small' as Topic]).catch(() => undefined); // ends with the bus
    await waitFor('the obstacle is known', () => bus.obstacle() !== undefined, { timeoutMs: 30_000 });
    expect(bus.obstacle()).toMatch(
      /"[^"]*small" cannot carry every vote and decision: set its max\.message\.bytes, now 1000/,
    );
  });
});
