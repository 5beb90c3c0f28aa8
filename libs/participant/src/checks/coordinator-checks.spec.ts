import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { VirtualClock, silentLogger } from '@concordat/foundation';
import { describeFinding, runChecks } from './check.js';
import { clockDifferenceMs } from './clock-difference.js';
import { COORDINATOR_CHECKS, groupFinding, type CoordinatorCheckContext } from './coordinator-checks.js';
import { readCoordinator, type CoordinatorFacts } from './coordinator-facts.js';
import { reportCoordinators } from './report-coordinators.js';
import { sharedDatabaseFinding } from './shared-database.js';
import { coordinatorFacts, databaseFacts } from './testing/sample-facts.js';

const GROUP = coordinatorFacts().group!;

const troubles = (facts: Partial<CoordinatorFacts>, change: Partial<CoordinatorCheckContext> = {}): string[] =>
  runChecks(COORDINATOR_CHECKS, {
    facts: coordinatorFacts(facts),
    cluster: 'local',
    link: 'direct',
    ...change,
  }).flatMap((report) =>
    report.status === 'ok' ? [] : [`${report.status} ${report.name}: ${describeFinding(report)}`],
  );

describe('the checks of a coordinator', () => {
  it('have nothing against one that is ready', () => expect(troubles({})).toEqual([]));

  it.each<[what: string, facts: Partial<CoordinatorFacts>, expected: RegExp]>([
    ['one that is not ready', { isReady: false, reasons: ['no leader'] }, /^failure ready: .*no leader.*\/readyz$/],
    ['no leader', { group: { ...GROUP, leaderId: null } }, /^failure leader: .*majority of its 3 nodes/],
    [
      'another cluster',
      { group: { ...GROUP, clusterName: 'staging' } },
      /^failure cluster: .*"staging", the participant to "local": set cluster: 'staging'/,
    ],
    [
      'coordinators without direct streams',
      { group: { ...GROUP, directAddress: null } },
      /^failure direct-streams: .*CONCORDAT_LINK=direct/,
    ],
    ['a clock that is behind', { clockDifferenceMs: -60_000 }, /^warning clock: .*60\.0 s behind.*NTP/],
  ])('name %s, and say what to do', (_what, facts, expected) => {
    expect(troubles(facts)).toEqual([expect.stringMatching(expected)]);
  });

  it('say of one that does not answer only that', () => {
    const facts = { problem: 'connect ECONNREFUSED', isReady: false, group: undefined };
    expect(troubles(facts as Partial<CoordinatorFacts>)).toEqual([
      expect.stringMatching(/^failure reachable: .*ECONNREFUSED.*npx concordat dev/),
    ]);
  });

  it('leave out what the participant does not need', () => {
    expect(troubles({ group: { ...GROUP, directAddress: null } }, { link: 'kafka' })).toEqual([]);
    expect(troubles({ group: { ...GROUP, clusterName: 'any' } }, { cluster: undefined })).toEqual([]);
  });

  it.each<[what: string, others: Partial<CoordinatorFacts>[], expected: string | undefined]>([
    ['one', [], undefined],
    ['two of one group', [{ url: 'http://node-2:8081' }], 'ok'],
    ['two of different groups', [{ group: { ...GROUP, clusterId: 'c2' } }], 'failure'],
    ['one that answers, and one that does not', [{ problem: 'gone', group: undefined }], undefined],
  ])('compare coordinators that were given together: %s', (_what, others, expected) => {
    expect(groupFinding([coordinatorFacts(), ...others.map(coordinatorFacts)])?.status).toBe(expected);
  });
});

describe('the difference of clocks', () => {
  it.each([
    ['one second ahead, the way taking no time', { earliest: 2_000, askedAt: 1_000, answeredAt: 1_000 }, 1_000],
    ['what the way may explain', { earliest: 2_000, askedAt: 1_000, answeredAt: 3_000 }, 0],
    ['behind what was asked', { earliest: 500, askedAt: 1_000, answeredAt: 3_000 }, -500],
    ['a clock that tells only seconds', { earliest: 2_000, latest: 2_999, askedAt: 2_500, answeredAt: 2_500 }, 0],
    ['such a clock, behind', { earliest: 2_000, latest: 2_999, askedAt: 9_000, answeredAt: 9_000 }, -6_001],
  ])('is %s', (_what, { earliest, ...reading }, expected) => {
    expect(clockDifferenceMs({ earliest, latest: earliest, ...reading })).toBe(expected);
  });
});

describe('the databases of several processes', () => {
  const owner = { cluster: 'local', participant: 'orders' };

  it.each([
    ['one and the same, by different names', [{}, { where: 'orders@10.0.0.1:5432/orders' }], undefined, 'ok'],
    ['two servers', [{}, { where: 'orders@b:5432/orders', identity: '8/16384' }], undefined, 'failure'],
    ['two roles', [{}, { role: 'other' }], undefined, 'failure'],
    [
      'two participants',
      [{}, { identity: '8/1', ledger: { owner: { ...owner, participant: 'x' } } }],
      undefined,
      undefined,
    ],
    ['two new ones for one participant', [{}, { identity: '8/1', ledger: { owner: undefined } }], 'orders', 'failure'],
    ['servers that hide their identity', [{ identity: undefined }, { identity: undefined }], undefined, 'ok'],
    ['one', [{}], 'orders', undefined],
  ])('are %s', (_what, changes, participant, expected) => {
    expect(sharedDatabaseFinding(changes.map(databaseFacts), participant)?.status).toBe(expected);
  });
});

describe('reading a coordinator', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  const serve = async (answers: Readonly<Record<string, unknown>>, date?: Date): Promise<string> => {
    const server = createServer((request, response) => {
      if (date) response.setHeader('date', date.toUTCString());
      const answer = answers[request.url ?? ''];
      response.statusCode = answer === undefined ? 404 : typeof answer === 'number' ? answer : 200;
      response.end(typeof answer === 'string' ? answer : JSON.stringify(answer ?? {}));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  it('tells readiness, group and clock', async () => {
    const clock = new VirtualClock();
    const answers = { '/readyz': { status: 'not-ready', reasons: ['no leader'] }, '/v1/cluster': GROUP };
    const url = await serve(answers, new Date(clock.now() - 10_000));
    expect(await readCoordinator(url, clock)).toEqual({
      url,
      isReady: false,
      reasons: ['no leader'],
      group: GROUP,
      clockDifferenceMs: -9_001,
    });
  });

  it.each([
    ['something else', { '/readyz': 'ok' }, 'something else than a coordinator'],
    ['a service that is ready', { '/readyz': { ready: true } }, 'something else than a coordinator'],
  ])('recognises %s', async (_what, answers, problem) => {
    const facts = await readCoordinator(await serve(answers), new VirtualClock());
    expect(facts.problem).toContain(problem);
  });

  it.each([401, 403])('shows its token, and knows a coordinator that answers %d to it', async (status) => {
    const url = await serve({ '/readyz': { status: 'ready', reasons: [] }, '/v1/cluster': status });
    const shown: unknown[] = [];
    servers[0]!.prependListener('request', ({ headers }) => shown.push(headers.authorization));
    const facts = await readCoordinator(url, new VirtualClock(), () => Promise.resolve('cct_abc'));
    expect(shown).toEqual([undefined, 'Bearer cct_abc']);
    expect(facts).toMatchObject({ isReady: true, refusedWith: status });
    const troubled = troubles({ group: undefined, refusedWith: status as 401 | 403 });
    expect(troubled[0]).toContain(`asks who is there and answers with ${status}: give a token`);
  });

  it('says why there is no answer', async () => {
    expect((await readCoordinator('http://127.0.0.1:1', new VirtualClock())).problem).toMatch(/ECONNREFUSED|bad port/);
  });

  it('reports to the log what is wrong, and returns those that are to be asked again', async () => {
    const lines: string[] = [];
    const note = (level: string) => (line: string) => void lines.push(`${level} ${line}`);
    const logger = { ...silentLogger, warn: note('warn'), error: note('error') };
    const clock = new VirtualClock();
    const answers = { '/readyz': { status: 'ready', reasons: [] }, '/v1/cluster': { ...GROUP, clusterName: 'x' } };
    const url = await serve(answers, new Date(clock.now() + 60_000));
    const silent = 'http://127.0.0.1:1';
    expect(await reportCoordinators([url, silent], { cluster: 'local' }, { clock, logger })).toEqual([silent]);
    expect(lines).toEqual([
      expect.stringMatching(/^error check cluster: .*"x"/),
      expect.stringMatching(/^warn check clock: .*60\.0 s ahead of/),
    ]);
  });
});
