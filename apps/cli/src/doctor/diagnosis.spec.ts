import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import type { TopicFinding } from '@concordat/messaging';
import type { CoordinatorFacts, Examination } from '@concordat/participant';
import { coordinatorFacts, databaseFacts } from '@concordat/participant/testing';
import { diagnose, type DiagnosisPorts } from './diagnosis.js';
import { parseDoctor, type DoctorValues } from './options.js';
import { exitCodeOf, renderJson, renderLines, worstOf } from './rendering.js';

const DATABASE = 'postgres://orders:secret@db/orders';
const COORDINATOR = 'http://node-1:8081';

interface World {
  readonly examination?: Partial<Examination>;
  readonly coordinator?: Partial<CoordinatorFacts>;
  readonly topics?: readonly TopicFinding[] | Error;
  readonly environment?: Readonly<Record<string, string>>;
  readonly group?: { readonly state: 'unusable'; readonly sentence: string; readonly fix: string };
}

/** What the ports were asked, and what comes of it. */
async function run(
  values: DoctorValues,
  { examination, coordinator, topics = [], environment = {}, group }: World = {},
) {
  const asked: unknown[] = [];
  const mayConsume = group ?? ({ state: 'usable', sentence: 'it may see the group' } as const);
  const ports: DiagnosisPorts = {
    clock: new VirtualClock(),
    examineDatabase: async ({ clock: _clock, ...options }) => {
      asked.push(options);
      const reports = [{ name: 'server-version', status: 'ok', sentence: 'it is PostgreSQL 18.4' }] as const;
      return { where: 'orders@db/orders', reports, facts: databaseFacts(), ...examination };
    },
    readCoordinator: async (url) => coordinatorFacts({ url, ...coordinator }),
    environment,
    inspectTopics: async ({ brokers, cluster, topicPrefix, ssl, sasl, role }, names) => {
      asked.push({ brokers, cluster, topicPrefix, ssl, sasl, role, names });
      if (topics instanceof Error) throw topics;
      return topics;
    },
    inspectGroup: async ({ role }) => ({ group: `of ${role}`, ...mayConsume }),
  };
  const lines = await diagnose(parseDoctor(values), ports);
  return { lines, asked, names: lines.map(({ name, status }) => `${status} ${name}`) };
}

describe('concordat doctor', () => {
  it('looks only at what it was given', async () => {
    expect((await run({ database: [DATABASE] })).names).toEqual(['ok server-version']);
    expect((await run({ coordinator: [COORDINATOR] })).names).toEqual([
      'ok reachable',
      'ok ready',
      'ok leader',
      'ok clock',
    ]);
    expect((await run({ kafka: 'broker:9092' })).names).toEqual([]);
  });

  it('takes participant and cluster from the database', async () => {
    const { asked, names } = await run({ database: [DATABASE], coordinator: [COORDINATOR], kafka: 'b:9092' });
    expect(names).toContain('ok cluster');
    expect(asked.at(-1)).toMatchObject({
      cluster: 'local',
      names: ['prepare.orders', 'decide.orders', 'replies'],
      ssl: undefined,
      role: 'participant:orders',
    });
  });

  it('takes the cluster from the coordinator where no database says it', async () => {
    const group = { ...coordinatorFacts().group!, clusterName: 'production' };
    const { asked } = await run({ coordinator: [COORDINATOR], kafka: 'b:9092' }, { coordinator: { group } });
    expect(asked).toEqual([expect.objectContaining({ cluster: 'production', names: ['replies'] })]);
  });

  it('hands on what it was told', async () => {
    const words = { participant: 'sales', cluster: 'test', schema: 'own', 'topic-prefix': 'acme', 'kafka-tls': true };
    const { asked } = await run({ database: [DATABASE], kafka: 'b:9092,c:9092', ...words });
    expect(asked).toEqual([
      { connectionString: DATABASE, schema: 'own', participant: 'sales', cluster: 'test' },
      {
        brokers: ['b:9092', 'c:9092'],
        cluster: 'test',
        topicPrefix: 'acme',
        ssl: { minVersion: 'TLSv1.2' },
        sasl: undefined,
        role: 'participant:sales',
        names: ['prepare.sales', 'decide.sales', 'replies'],
      },
    ]);
  });

  it('compares the databases of several processes, and several coordinators', async () => {
    const { names } = await run({ database: [DATABASE, DATABASE], coordinator: [COORDINATOR, 'http://node-2:8081'] });
    expect(names).toEqual(expect.arrayContaining(['ok shared', 'ok group']));
  });

  it.each<[TopicFinding['state'], string]>([
    ['usable', 'ok'],
    ['impaired', 'warning'],
    ['missing', 'warning'],
    ['unusable', 'failure'],
  ])('finds that a topic is %s: %s', async (state, status) => {
    const finding = { topic: 't', state, sentence: 'the topic "t" is so', fix: 'do that' } as TopicFinding;
    const { names } = await run({ kafka: 'b:9092' }, { topics: [finding] });
    expect(names).toEqual([`${status} topic`]);
  });

  it('reports a broker that cannot be asked as a failure', async () => {
    const { lines } = await run({ kafka: 'b:9092' }, { topics: new Error('connect ECONNREFUSED') });
    expect(lines).toEqual([
      expect.objectContaining({ name: 'broker', status: 'failure', sentence: expect.stringContaining('ECONNREFUSED') }),
    ]);
  });

  it('calls the brokers as a service does, by the same variables', async () => {
    const environment = {
      KAFKA_TLS: 'off',
      KAFKA_SASL_MECHANISM: 'plain',
      KAFKA_SASL_USERNAME: 'orders',
      KAFKA_SASL_PASSWORD: 'secret-canary',
    };
    const kafka = { kafka: 'b:9092', participant: 'orders' };
    const { asked } = await run(kafka, { environment });
    const sasl = expect.objectContaining({ mechanism: 'plain', username: 'orders', password: 'secret-canary' });
    expect(asked).toEqual([expect.objectContaining({ ssl: undefined, sasl })]);
    const overTls = await run({ ...kafka, 'kafka-tls': true }, { environment });
    expect(overTls.asked).toEqual([expect.objectContaining({ ssl: { minVersion: 'TLSv1.2' }, sasl })]);
  });

  it('asks no broker with settings with which a service would not start, and tells no secret', async () => {
    const { asked, lines } = await run(
      { kafka: 'b:9092' },
      { environment: { KAFKA_TLS: 'yes', KAFKA_SASL_PASSWORD: 'secret-canary' } },
    );
    expect([asked, JSON.stringify(lines).includes('canary')]).toEqual([[], false]);
    expect(lines.map(({ name, status, sentence }) => [name, status, sentence])).toEqual([
      ['broker-settings', 'failure', 'KAFKA_TLS="yes" is wrong'],
      ['broker-settings', 'failure', 'KAFKA_SASL_MECHANISM is not set as it must be'],
    ]);
    expect(lines[0]).toMatchObject({ fix: 'make it one of on, off' });
  });

  it('looks at the rights of each participant, says once what it finds of all, and at none without one', async () => {
    const topics = [{ topic: 'replies', state: 'usable', sentence: 'the topic "replies" is there' }] as const;
    const group = { state: 'unusable', sentence: 'no right to the group', fix: 'grant Read on it' } as const;
    const kafka = { kafka: 'b:9092' };
    const { names, asked } = await run({ ...kafka, database: [DATABASE, DATABASE] }, { topics, group });
    expect(names.filter((name) => /topic|group/.test(name))).toEqual(['ok topic', 'failure consumer-group']);
    expect(asked.at(-1)).toMatchObject({ role: 'participant:orders' });
    const nobody = await run(kafka, { topics, group });
    expect(nobody.names).toEqual(['ok topic']);
    expect(nobody.asked).toEqual([expect.objectContaining({ role: undefined, names: ['replies'] })]);
  });

  it.each([
    ['nobody is asked', {}, {}, []],
    ['a token is shown', {}, { CONCORDAT_TOKEN: 't' }, ['warning signatures']],
    ['a coordinator refuses', { refusedWith: 401 }, {}, ['warning signatures']],
    ['a coordinator refuses', { refusedWith: 403 }, { CONCORDAT_SIGNATURES: 'warn' }, ['warning signatures']],
    ['a token is shown', {}, { CONCORDAT_TOKEN: 't', CONCORDAT_SIGNATURES: 'require' }, ['ok signatures']],
  ] as const)('says whether messages are signed where %s', async (_when, coordinator, environment, found) => {
    const world = { coordinator, environment };
    const { lines, names } = await run({ coordinator: [COORDINATOR], kafka: 'b:9092' }, world);
    expect(names.filter((name) => name.endsWith('signatures'))).toEqual(found);
    const [line] = lines.filter(({ status, name }) => status === 'warning' && name === 'signatures');
    if (line) expect(line).toMatchObject({ fix: expect.stringContaining('set CONCORDAT_SIGNATURES=require') });
    expect((await run({ coordinator: [COORDINATOR] }, world)).names.join()).not.toContain('signatures');
  });

  it('goes on after a database that cannot be reached', async () => {
    const reports = [{ name: 'connection', status: 'failure', sentence: 'gone', fix: 'start it' }] as const;
    const { names } = await run(
      { database: [DATABASE], coordinator: [COORDINATOR] },
      { examination: { facts: undefined, reports } },
    );
    expect(names.slice(0, 2)).toEqual(['failure connection', 'ok reachable']);
  });
});

describe('what concordat doctor prints', () => {
  const fine = { subject: 'a', name: 'x', status: 'ok', sentence: 'well' } as const;
  const doubtful = { subject: 'a', name: 'y', status: 'warning', sentence: 'so so', fix: 'do this' } as const;
  const broken = { subject: 'b', name: 'z', status: 'failure', sentence: 'bad', fix: 'do that' } as const;

  it.each([
    [[], 'ok', 0],
    [[fine], 'ok', 0],
    [[fine, doubtful], 'warning', 1],
    [[broken, doubtful, fine], 'failure', 2],
  ] as const)('%#: the gravest finding is the exit code', (lines, worst, code) => {
    expect([worstOf(lines), exitCodeOf(lines)]).toEqual([worst, code]);
  });

  it('is a line for each check, with what to do', () => {
    expect(renderLines([fine, doubtful, broken])).toBe(`a
  ok       x: well
  warning  y: so so: do this
b
  failure  z: bad: do that
3 checks: 1 failure, 1 warning
`);
  });

  it('is one object with --json', () => {
    expect(JSON.parse(renderJson([fine, broken]))).toEqual({ status: 'failure', checks: [fine, broken] });
  });

  it('never contains a password, not even of a wrong command line', () => {
    const wrong: DoctorValues[] = [
      { database: ['orders:secret@db/orders'] },
      { database: ['mysql://orders:secret@db/orders'] },
      { coordinator: ['http://admin:secret@node-1:8081'] },
      { kafka: 'user:secret@broker:9092' },
    ];
    for (const values of wrong) {
      const refused = expect(() => parseDoctor(values));
      refused.toThrow('must be');
      refused.not.toThrow('secret');
    }
  });
});
