import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { silentLogger, SystemClock } from '@concordat/foundation';
import {
  accessOf,
  DEAD_LETTER_TOPIC,
  decideTopic,
  KafkaMessageBus,
  MessageSignatures,
  Namespace,
  OUTCOMES_TOPIC,
  prepareTopic,
  REPLIES_TOPIC,
  type AccessRule,
  type MessageSender,
  type SubscriptionOptions,
} from '@concordat/messaging';
import kafkajs, { type AclEntry, type Admin } from 'kafkajs';
import { startKafka, type TestKafka } from '../support/kafka.js';
import { KeyDirectory } from '../support/key-directory.js';
import { waitFor } from '../support/wait-for.js';

jest.setTimeout(120_000);

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } = kafkajs;
const CLUSTER = 'production';
const ADDRESS = { transactionId: randomUUID(), branchId: randomUUID(), participant: 'bank-a' };
const OPERATIONS = {
  Read: AclOperationTypes.READ,
  Write: AclOperationTypes.WRITE,
  Create: AclOperationTypes.CREATE,
  DescribeConfigs: AclOperationTypes.DESCRIBE_CONFIGS,
};

function entriesOf({ resource, name, pattern, operations }: AccessRule): AclEntry[] {
  return operations.map((operation) => ({
    principal: 'User:*',
    host: '*',
    permissionType: AclPermissionTypes.ALLOW,
    resourceType: resource === 'topic' ? AclResourceTypes.TOPIC : AclResourceTypes.GROUP,
    resourceName: name,
    resourcePatternType: pattern === 'prefixed' ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
    operation: OPERATIONS[operation],
  }));
}

/** Where a topic or group of the cluster has a rule, only who has a right to it may use it. */
const NOBODY: readonly AclEntry[] = [AclResourceTypes.TOPIC, AclResourceTypes.GROUP].map((resourceType) => ({
  principal: 'User:nobody',
  host: '*',
  permissionType: AclPermissionTypes.ALLOW,
  resourceType,
  resourceName: `concordat.${CLUSTER}.`,
  resourcePatternType: ResourcePatternTypes.PREFIXED,
  operation: AclOperationTypes.ALL,
}));

describe('the rights that "concordat kafka acls" prints', () => {
  let kafka: TestKafka;
  let keys: KeyDirectory;
  const buses: KafkaMessageBus[] = [];

  beforeAll(async () => {
    kafka = await startKafka([
      'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'allow.everyone.if.no.acl.found=true',
    ]);
    await asAdmin((admin) => admin.createAcls({ acl: [...NOBODY] }));
    keys = new KeyDirectory(['coordinator', 'participant:bank-a']);
  });

  afterEach(() => Promise.all(buses.splice(0).map((bus) => bus.stop())));

  afterAll(async () => {
    keys?.remove();
    await kafka?.stop();
  });

  function busOf(sender: MessageSender): KafkaMessageBus {
    const clock = new SystemClock();
    const files = { signingKeyFile: keys.signingKeyFile(sender), trustedKeysFile: keys.trustedKeysFile };
    const signatures = new MessageSignatures({
      mode: 'require',
      cluster: CLUSTER,
      sender,
      clock,
      logger: silentLogger,
      ...files,
    });
    const bus = new KafkaMessageBus({ brokers: kafka.brokers, cluster: CLUSTER, signatures });
    buses.push(bus);
    return bus;
  }

  /** Each time another one: kafkajs asks again for every topic that one was told of, with the rights of that time. */
  async function asAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** Everybody has the rights of one role meanwhile. */
  async function withRightsOf<T>(participant: string | undefined, work: () => Promise<T>): Promise<T> {
    const acl = accessOf({ cluster: CLUSTER }, participant).flatMap(entriesOf);
    await asAdmin((admin) => admin.createAcls({ acl }));
    try {
      return await work();
    } finally {
      await asAdmin((admin) => admin.deleteAcls({ filters: acl }));
      await Promise.all(buses.splice(0).map((bus) => bus.stop()));
    }
  }

  function listenTo(bus: KafkaMessageBus, options: Omit<SubscriptionOptions, 'onMessage'>) {
    const heard: string[] = [];
    const onMessage = (message: ProtocolMessage, sender?: MessageSender): void => {
      heard.push(`${message.type} of ${sender ?? 'somebody'}`);
    };
    return bus.subscribe({ ...options, onMessage }).then((subscription) => ({ heard, subscription }));
  }

  const decision = { ...ADDRESS, type: 'decision', decision: 'commit', attempt: 0 } as const;
  const vote = { ...ADDRESS, type: 'vote', vote: 'yes', results: [] } as const;
  const work = {
    ...ADDRESS,
    type: 'commit-one-phase',
    operations: [],
    deadline: Date.now() + 60_000,
    attempt: 0,
  } as const;
  const outcome = {
    type: 'outcome',
    transactionId: ADDRESS.transactionId,
    outcome: 'committed',
    decidedAt: 1,
    endedAt: 2,
    participants: ['bank-a'],
  } as const;

  it('suffice for a coordinator, and then for a participant, whose messages are signed', async () => {
    await withRightsOf(undefined, async () => {
      const bus = busOf('coordinator');
      await bus.start();
      await bus.ensureTopics([REPLIES_TOPIC, OUTCOMES_TOPIC, DEAD_LETTER_TOPIC]);
      const { subscription } = await listenTo(bus, {
        group: 'coordinator.1',
        topics: [REPLIES_TOPIC],
        start: 'latest',
      });
      await waitFor('replies are consumed', () => subscription.idleMs() < 5_000, { timeoutMs: 30_000 });
      await bus.publish([
        { topic: prepareTopic('bank-a'), message: work },
        { topic: decideTopic('bank-a'), message: decision },
        { topic: decideTopic('bank-b'), message: { ...decision, participant: 'bank-b' } },
        { topic: OUTCOMES_TOPIC, message: outcome },
      ]);
      expect(bus.obstacle()).toBeUndefined();
    });
    await withRightsOf('bank-a', async () => {
      const bus = busOf('participant:bank-a');
      await bus.start();
      const topics = [prepareTopic('bank-a'), decideTopic('bank-a')];
      await bus.ensureTopics([...topics, REPLIES_TOPIC]);
      const { heard } = await listenTo(bus, { group: 'participant.bank-a', topics });
      await waitFor('both have come', () => heard.length === 2, { timeoutMs: 30_000 });
      expect(heard.toSorted()).toEqual(['commit-one-phase of coordinator', 'decision of coordinator']);
      await bus.publish([
        { topic: REPLIES_TOPIC, message: vote },
        { topic: decideTopic('bank-a'), message: { ...ADDRESS, type: 'termination-due' } },
        { topic: decideTopic('bank-b'), message: { ...decision, participant: 'bank-b' } },
        // it may write this, and is not believed
        { topic: decideTopic('bank-a'), message: { ...ADDRESS, type: 'ruling', ruling: 'abort', attempt: 0 } },
      ]);
      await waitFor('its own has come', () => heard.includes('termination-due of participant:bank-a'));
      await waitFor('the ruling was refused', () => bus.deadLetters().NOT_ALLOWED_TO_SAY === 1);
      expect(bus.obstacle()).toBeUndefined();
      const letters = new Namespace({ cluster: CLUSTER }).topic(DEAD_LETTER_TOPIC);
      await waitFor('the dead letter is there', async () => Number((await offsetsOf(letters)) ?? 0) === 1);
    });
    await withRightsOf(undefined, async () => {
      const bus = busOf('coordinator');
      await bus.start();
      const { heard } = await listenTo(bus, { group: 'coordinator.2', topics: [REPLIES_TOPIC], start: 'committed' });
      await waitFor('the vote has come', () => heard.length === 1, { timeoutMs: 30_000 });
      expect(heard).toEqual(['vote of participant:bank-a']);
    });
  });

  it('do not let a participant read replies, decide on outcomes, send work, or read what others are sent', async () => {
    await withRightsOf('bank-a', async () => {
      const bus = busOf('participant:bank-a');
      await bus.start();
      const refused = { code: 'BUS_MESSAGE_REFUSED' };
      await expect(bus.publish([{ topic: OUTCOMES_TOPIC, message: outcome }])).rejects.toMatchObject(refused);
      await expect(bus.publish([{ topic: prepareTopic('bank-b'), message: work }])).rejects.toMatchObject(refused);
      await expect(bus.publish([{ topic: prepareTopic('bank-a'), message: work }])).rejects.toMatchObject(refused);
      const { heard } = await listenTo(bus, {
        group: 'participant.bank-a',
        topics: [REPLIES_TOPIC, decideTopic('bank-b')],
      });
      const fetches = (): number => bus.brokerRequests()['Fetch'] ?? 0;
      await waitFor('it has asked for messages again and again', () => fetches() >= 4, { timeoutMs: 30_000 });
      expect(heard).toEqual([]);
    });
  });

  async function offsetsOf(topic: string): Promise<string | undefined> {
    return asAdmin(async (admin) => (await admin.fetchTopicOffsets(topic))[0]?.high);
  }
});
