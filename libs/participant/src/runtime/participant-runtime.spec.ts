import { describe, expect, it } from '@jest/globals';
import type { CoordinatorMessage } from '@concordat/commit-protocol';
import { PARTICIPANT_FAILPOINTS } from './participant-failpoints.js';
import {
  id,
  address,
  FakeResourceManager,
  FullResourceManager,
  RefusingResourceManager,
  fail,
  createSystem,
  operation,
  prepare,
  decide,
  short,
} from './testing/runtime-system.js';

describe('ParticipantRuntime', () => {
  it('votes at once, carries out the decision and acknowledges it lazily', async () => {
    const { send, heard, run, reached } = await createSystem();
    await send(prepare(1));
    expect(heard).toMatchObject([{ type: 'vote', vote: 'yes', results: ['debit done'] }]);
    await send(decide(1));
    expect(heard.map(short)).toEqual(['vote yes 1']);
    await run(30);
    expect(heard.map(short)).toEqual(['vote yes 1', 'done committed 1']);
    expect(reached).toEqual([
      'participant.announce.before-send',
      'participant.announce.after-send',
      'participant.prepare.received',
      'participant.work.before-handlers',
      'participant.prepare.before-prepare',
      'participant.prepare.after-prepare',
      'participant.vote.before-send',
      'participant.prepare.handled',
      'participant.vote.after-send',
      'participant.decision.received',
      'participant.commit.before-commit',
      'participant.commit.after-commit',
      'participant.decision.handled',
      'participant.done.before-send',
      'participant.done.after-send',
    ]);
  });

  it('passes the failpoints of an abort, of a delegated commit, of a ruling and of an inquiry', async () => {
    const resourceManager = new FakeResourceManager();
    const { send, run, reached } = await createSystem({ sweepIntervalMs: 100, inquiryAfterMs: 50 }, resourceManager);
    const passed = async (...messages: CoordinatorMessage[]): Promise<string[]> => {
      reached.length = 0;
      await send(...messages);
      await run(30);
      return reached.filter((name) => !/\.(announce|prepare|vote|done)\./.test(name));
    };
    await passed(prepare(1));
    expect(await passed(decide(1, 'abort'))).toEqual([
      'participant.decision.received',
      'participant.abort.before-rollback',
      'participant.abort.after-rollback',
      'participant.decision.handled',
    ]);
    const onePhase = { ...address(2), type: 'commit-one-phase', operations: [operation], deadline: 0, attempt: 0 };
    expect(await passed(onePhase as CoordinatorMessage)).toEqual([
      'participant.commit-one-phase.received',
      'participant.work.before-handlers',
      'participant.commit.before-commit',
      'participant.commit.after-commit',
      'participant.commit-one-phase.handled',
    ]);
    await passed(prepare(3));
    expect(await passed({ ...address(3), type: 'ruling', ruling: 'abort', attempt: 0 })).toEqual([
      'participant.ruling.received',
      'participant.abort.before-rollback',
      'participant.abort.after-rollback',
      'participant.ruling.handled',
    ]);
    expect(await passed({ ...address(4), type: 'unknown-old' })).toEqual([
      'participant.unknown-old.received',
      'participant.unknown-old.handled',
    ]);
    const { transactionId, branchId } = address(5);
    resourceManager.prepared.push({ transactionId, branchId, gid: 'concordat:x', ageMs: 60_000, isAcceptor: false });
    reached.length = 0;
    await run(150);
    expect(reached.filter((name) => name.includes('inquiry'))).toEqual([
      'participant.inquiry.before-send',
      'participant.inquiry.after-send',
    ]);
  });

  it('passes only failpoints that can be armed', async () => {
    const { send, run, reached } = await createSystem();
    await send(prepare(1), decide(2, 'abort'));
    await send(decide(1));
    await run(30);
    const unknown = reached.filter((name) => !PARTICIPANT_FAILPOINTS.some((known) => known === name));
    expect(unknown).toEqual([]);
  });

  it('sends what is gathered in one request', async () => {
    const { send, run, bus } = await createSystem();
    await send(prepare(1), prepare(2), prepare(3));
    bus.requests.length = 0;
    await send(decide(1), decide(2, 'abort'), decide(3));
    await run(30);
    expect(bus.requests.map((request) => request.length)).toEqual([3]);
  });

  it('answers a delegated commit at once', async () => {
    const { send, heard } = await createSystem();
    await send({ ...address(1), type: 'commit-one-phase', operations: [operation], deadline: 0, attempt: 0 });
    expect(heard).toMatchObject([{ type: 'done', end: 'committed', results: ['debit done'] }]);
  });

  it.each<[string, unknown, string]>([
    ['NaN', { balance: NaN }, 'RESULT_NOT_JSON: the result of debit has no JSON: balance is NaN'],
    ['a BigInt', 10n, 'RESULT_NOT_JSON: the result of debit has no JSON: the value is a bigint'],
    [
      'half a character',
      'a\ud800',
      'RESULT_NOT_JSON: the result of debit has no JSON: the value contains NUL or a lone',
    ],
    ['too much', 'x'.repeat(65_533), 'RESULT_TOO_LARGE: the handlers returned more than 65536 bytes of JSON'],
  ])('refuses a result before the branch is prepared or committed: %s', async (_name, result, refusal) => {
    const resourceManager = new RefusingResourceManager();
    const { send, heard } = await createSystem({}, resourceManager, async () => result);
    await send(prepare(1));
    await send({ ...address(2), type: 'commit-one-phase', operations: [operation], deadline: 0, attempt: 0 });
    expect(resourceManager.refusals.map((refused) => refused.slice(0, refusal.length))).toEqual([refusal, refusal]);
    expect(heard.map(short)).toEqual(['vote no 1', 'done aborted 2']);
  });

  it('takes `undefined` for no result, and a result that just fits', async () => {
    const results = [undefined, 'x'.repeat(65_532)];
    const { send, heard } = await createSystem({}, new FakeResourceManager(), async () => results.shift());
    await send(prepare(1), prepare(2));
    expect(heard.map((message) => 'results' in message && JSON.stringify(message.results).length)).toEqual([6, 65_536]);
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['an object without a text', Object.create(null)],
    ['an error whose message throws', Object.defineProperty(new Error('x'), 'message', { get: () => fail() })],
    ['an error with another message', Object.assign(new Error('x'), { message: 10n })],
    ['a proxy that throws', new Proxy({}, { get: () => fail(), getPrototypeOf: () => fail() })],
  ])('a handler that throws %s fails, and nothing else does', async (_name, thrown: unknown) => {
    const resourceManager = new RefusingResourceManager();
    const { send, heard } = await createSystem({}, resourceManager, () => {
      throw thrown;
    });
    await send(prepare(1));
    expect(resourceManager.refusals).toEqual([
      expect.stringMatching(/^undefined: the handler threw a value that is not an error: /),
    ]);
    expect(heard.map(short)).toEqual(['vote no 1']);
  });

  it('is not set up with what no message takes', async () => {
    await expect(createSystem({ resultSizeBytes: 65_537 })).rejects.toThrow('it must be from 2 to 65536');
    await expect(createSystem({ resultSizeBytes: NaN })).rejects.toThrow('it must be from 2 to 65536');
  });

  it('counts and reports a reply that cannot be sent, and sends the others of the turn', async () => {
    const resourceManager = new FakeResourceManager();
    const lines: string[] = [];
    const { send, heard, runtime } = await createSystem({}, resourceManager, undefined, lines);
    resourceManager.unsayable = id('bbbb', 1);
    await send(prepare(1), prepare(2));
    expect(heard.map(short)).toEqual(['vote yes 2']);
    expect(runtime.metrics().unsendable).toBe(1);
    expect(lines).toEqual([expect.stringMatching(/^UNSENDABLE 1 messages .*vote about transaction /)]);
  });

  it('leaves work with an operation that it lacks to a process of another version, and says no in the end', async () => {
    const lines: string[] = [];
    const { send, heard, resourceManager, runtime } = await createSystem({}, undefined, undefined, lines);
    const unknown = (attempt: number): CoordinatorMessage => ({
      ...prepare(1),
      type: 'prepare',
      operations: [operation, { ...operation, operation: 'of-later' }],
      protocol: '2pc',
      epoch: { term: 1, index: 1 },
      deadline: Date.UTC(2026, 0, 2),
      attempt,
    });
    for (const attempt of [0, 1, 2, 3]) await send(unknown(attempt));
    expect([heard.filter(({ type }) => type === 'vote'), resourceManager.calls]).toEqual([[], []]);
    expect(runtime.metrics().dropped).toBe(4);
    const { transactionId, branchId } = unknown(0);
    expect(lines).toHaveLength(4);
    expect(lines[0]).toContain(`the work of branch ${branchId} of transaction ${transactionId} is left to a process`);
    await send(unknown(4));
    expect(resourceManager.calls).toEqual(['prepare 1']);
  });

  it('says good-bye when it stops, under the name under which it has announced itself', async () => {
    const { heard, runtime, run } = await createSystem();
    await run(1_000);
    const stopped = runtime.stop();
    await run(100);
    await stopped;
    const announcements = heard.filter((message) => message.type === 'announce');
    const [first] = announcements;
    expect(announcements.at(-1)).toEqual({ ...first, leaving: true });
    expect(first).not.toHaveProperty('leaving');
  });

  it('branches that wait for locks do not hold back decisions', async () => {
    const system = await createSystem(
      { workConcurrency: 2 },
      new FakeResourceManager((branch) => branch !== id('bbbb', 1)),
    );
    await system.send(prepare(1));
    await system.send(prepare(2), prepare(3), prepare(4));
    expect(system.resourceManager.calls).toEqual(['prepare 1', 'prepare 2', 'prepare 3']);
    await system.send(decide(1));
    expect(system.resourceManager.calls.at(-1)).toBe('commit 1');
  });

  it('starts work only while the database has places for prepared branches, and never votes no for want of one', async () => {
    const system = await createSystem({}, new FullResourceManager(8));
    await system.send(...Array.from({ length: 20 }, (_, n) => prepare(n + 1)));
    expect(system.heard.map(short)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `vote yes ${n}`));
    for (let n = 1; n <= 20; n++) await system.send(decide(n));
    await system.run(100);
    const votes = system.heard.map(short).filter((said) => said.startsWith('vote'));
    expect(votes).toEqual(Array.from({ length: 20 }, (_, n) => `vote yes ${n + 1}`));
  });

  it('does not stop all work for branches that nobody decides', async () => {
    const system = await createSystem({ preparedBranches: 8 }, new FakeResourceManager());
    await system.send(...Array.from({ length: 20 }, (_, n) => prepare(n + 1)));
    expect(system.heard).toHaveLength(6);
    await system.run(5_000);
    expect(system.heard.map(short)).toContain('vote yes 7');
  });

  it('an abort takes back work that has not begun, and waits for work that has', async () => {
    const system = await createSystem({ workConcurrency: 1 }, new FakeResourceManager(() => true));
    await system.send(prepare(1), prepare(2));
    await system.send(decide(2, 'abort'), decide(1, 'abort'));
    expect(system.resourceManager.calls).toEqual(['prepare 1', 'abort 2']);
    system.resourceManager.held.get(id('bbbb', 1))?.();
    await system.run(30);
    expect(system.resourceManager.calls).toEqual(['prepare 1', 'abort 2', 'abort 1']);
    expect(system.heard.map(short)).toEqual(['done aborted 2', 'done aborted 1']);
  });

  it('drops work beyond its queue and takes it when it comes again', async () => {
    const system = await createSystem(
      { workConcurrency: 1, workQueue: 1 },
      new FakeResourceManager((branch) => branch === id('bbbb', 1)),
    );
    await system.send(prepare(1), prepare(2), prepare(3));
    expect(system.runtime.metrics()).toMatchObject({ dropped: 1, workRunning: 1, workWaiting: 1 });
    system.resourceManager.held.get(id('bbbb', 1))?.();
    await system.run(5);
    const before = system.heard.map(short).sort();
    expect(before).toHaveLength(2);
    await system.send(prepare(1), prepare(2), prepare(3));
    expect(new Set(system.heard.map(short))).toEqual(new Set(['vote yes 1', 'vote yes 2', 'vote yes 3']));
  });

  it('says nothing while the truth is not known', async () => {
    const system = await createSystem();
    system.resourceManager.failing = true;
    await system.send(prepare(1), decide(2));
    await system.run(30);
    expect(system.heard).toEqual([]);
    expect(system.runtime.metrics().unknown).toBe(2);
    system.resourceManager.failing = false;
    await system.send(prepare(1), decide(2));
    await system.run(30);
    expect(system.heard.map(short).sort()).toEqual(['done committed 2', 'vote yes 1']);
  });

  it('a branch that should be prepared and is not is refused, not run empty', async () => {
    const system = await createSystem();
    await system.send({ ...prepare(1), operations: [] } as CoordinatorMessage);
    expect(system.heard).toEqual([]); // the fake has no tombstones: the refusal stays a failure of its own
    expect(system.runtime.metrics().unknown).toBe(1);
    await system.send(prepare(2));
    expect(system.resourceManager.works.map(({ preparedByService }) => preparedByService)).toEqual([true, false]);
  });

  it.each([
    ['a commit', decide(1), 'heuristic-rollback', ['commit 1', 'record commit 1', 'roll back 1']],
    [
      'a ruling',
      { ...address(1), type: 'ruling', ruling: 'commit', attempt: 0 } as const,
      'aborted',
      ['record abort 1', 'commit 1', 'record abort 1', 'roll back 1'],
    ],
  ] as const)('%s finds nothing of a branch: says so only with its tombstone', async (_name, message, end, calls) => {
    const resourceManager = new FakeResourceManager();
    resourceManager.isGone = true;
    const { send, heard, run } = await createSystem({}, resourceManager);
    await send(message);
    await run(30);
    expect(resourceManager.calls).toEqual(calls);
    expect(heard.map(short)).toEqual([`done ${end} 1`]);
  });

  it('asks about everything prepared at the start, later only about old branches, and never decides', async () => {
    const resourceManager = new FakeResourceManager();
    const { transactionId, branchId } = address(1);
    resourceManager.prepared.push({
      transactionId,
      branchId,
      gid: 'concordat:x',
      ageMs: 0,
      isAcceptor: false,
    });
    const system = await createSystem({ sweepIntervalMs: 100, inquiryAfterMs: 250 }, resourceManager);
    expect(system.runtime.metrics()).toMatchObject({ inquiries: 1, preparedBranches: 1 });
    await system.run(220);
    expect(system.heard.filter(({ type }) => type === 'inquiry')).toEqual([]);
    await system.run(100);
    expect(system.heard.filter(({ type }) => type === 'inquiry')).toHaveLength(1);
    expect(resourceManager.calls).toEqual([]);
    await system.send({ ...address(1), type: 'unknown-old' });
    expect(resourceManager.calls).toEqual([]);
    expect(system.runtime.metrics().alerts.UNKNOWN_OLD_TRANSACTION).toBe(1);
  });

  it('asks about what it has seen prepared for long, even if the database says that it is not prepared yet', async () => {
    const resourceManager = new FakeResourceManager();
    const system = await createSystem({ sweepIntervalMs: 100, inquiryAfterMs: 250 }, resourceManager);
    const { transactionId, branchId } = address(1);
    // the clock of the database was an hour ahead, and was set right
    const gid = 'concordat:x';
    resourceManager.prepared.push({ transactionId, branchId, gid, ageMs: -3_600_000, isAcceptor: false });
    await system.run(320);
    expect(system.heard.filter(({ type }) => type === 'inquiry')).toEqual([]);
    await system.run(100);
    expect(system.heard.filter(({ type }) => type === 'inquiry')).toHaveLength(1);
    expect(system.runtime.metrics().oldestPreparedAgeMs).toBeGreaterThanOrEqual(200);
  });

  it('asks about everything prepared as soon as a new leader speaks, which may not know of it', async () => {
    const resourceManager = new FakeResourceManager();
    const system = await createSystem({ sweepIntervalMs: 60_000, inquiryAfterMs: 60_000 }, resourceManager);
    const { transactionId, branchId } = address(1);
    resourceManager.prepared.push({
      transactionId,
      branchId,
      gid: 'concordat:x',
      ageMs: 0,
      isAcceptor: false,
    });
    await system.send(prepare(2));
    expect(system.heard.filter(({ type }) => type === 'inquiry')).toEqual([]);
    await system.send(prepare(3, 9));
    expect(system.heard.filter(({ type }) => type === 'inquiry')).toMatchObject([{ transactionId, branchId }]);
  });

  it('ends a branch again that a restored database has brought back', async () => {
    const resourceManager = new FakeResourceManager();
    const system = await createSystem({ sweepIntervalMs: 100, inquiryAfterMs: 250 }, resourceManager);
    const decision = { ...address(1), type: 'decision', decision: 'commit', attempt: 0 } as const;
    await system.send(decision);
    await system.send(decision); // a repeat is answered from memory
    expect(resourceManager.calls).toEqual(['commit 1']);
    const { transactionId, branchId } = address(1);
    resourceManager.prepared.push({ transactionId, branchId, gid: 'concordat:x', ageMs: 60_000, isAcceptor: false });
    await system.run(320);
    expect(system.heard.filter(({ type }) => type === 'inquiry').length).toBeGreaterThan(0);
    await system.send(decision);
    expect(resourceManager.calls).toEqual(['commit 1', 'commit 1']);
  });

  it('announces itself again and again', async () => {
    const { run, heard } = await createSystem({ announceIntervalMs: 100 });
    await run(250);
    expect(heard.filter(({ type }) => type === 'announce').length).toBeGreaterThanOrEqual(2);
    expect(heard[0]).toEqual({
      type: 'announce',
      participant: 'bank-a',
      instance: expect.any(String),
      operations: ['debit'],
    });
  });

  it('announces itself to a new leader at once: the one before may have told nobody', async () => {
    const { run, heard, bus } = await createSystem();
    bus.tellNewLeader();
    await run(5);
    expect(heard).toEqual([expect.objectContaining({ type: 'announce', participant: 'bank-a' })]);
  });

  it('stops within its drain timeout, and sends what was gathered', async () => {
    const system = await createSystem(
      { drainTimeoutMs: 200 },
      new FakeResourceManager((branch) => branch === id('bbbb', 2)),
    );
    await system.send(prepare(1), prepare(2));
    await system.send(decide(1));
    let stopped = false;
    const stopping = system.runtime.stop().then(() => (stopped = true));
    await system.run(100);
    expect(stopped).toBe(false);
    await system.run(150);
    await stopping;
    expect(system.heard.map(short)).toContain('done committed 1');
  });
});
