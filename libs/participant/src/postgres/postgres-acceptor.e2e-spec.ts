import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import {
  MAXIMUM_ROUND_JUMP,
  type Acceptor,
  type Ballot,
  type BallotAnswer,
  type BallotRequest,
  type Decision,
} from '@concordat/commit-protocol';
import { waitFor } from '../../../../test/support/wait-for.js';
import { ResourceManagerUnavailableError } from '../runtime/errors.js';
import type { ThreePhaseWork } from '../runtime/resource-manager.js';
import type { PostgresResourceManager } from './postgres-resource-manager.js';
import {
  ThreePhaseDatabase,
  PARTICIPANT,
  add,
  inTwoPhases,
  mustNotRun,
  read,
  take,
  threePhaseBranch,
} from './testing/three-phase-database.js';
import { HeldFailpoints } from './testing/held-failpoints.js';

const at = (round: number, proposer = 1): Ballot => ({ round, proposer });
const promise = (ballot: Ballot): BallotRequest => ({ type: 'promise', ballot });
const accept = (ballot: Ballot, value: Decision): BallotRequest => ({ type: 'accept', ballot, value });
const decided = (decision: Decision): BallotAnswer => ({ type: 'decided', decision });
const FIRST = accept(at(0, 0), 'commit');

let database: ThreePhaseDatabase;
let manager: PostgresResourceManager;
let failpoints: HeldFailpoints;
/** another process of the participant, whose failpoints a test may hold */
let other: PostgresResourceManager;

beforeAll(async () => {
  database = await ThreePhaseDatabase.start();
  manager = await database.open();
  failpoints = new HeldFailpoints();
  other = await database.open(failpoints);
}, 60_000);

afterAll(() => database?.stop());

beforeEach(() => database.clear());

async function voted(vote: 'yes' | 'read-only' = 'yes'): Promise<ThreePhaseWork> {
  const branch = threePhaseBranch();
  expect(await manager.prepare(branch, vote === 'yes' ? add : read)).toMatchObject({ vote });
  return branch;
}

const ask = (
  branch: ThreePhaseWork,
  request: BallotRequest,
  process = manager,
): ReturnType<typeof manager.answerBallot> => process.answerBallot(branch, request, branch.acceptors);

async function stateOf(branch: ThreePhaseWork): Promise<Record<string, unknown>> {
  return {
    vote: await database.voteOf(branch),
    prepared: await database.isPrepared(branch),
    outcome: await database.outcomeOf(branch),
  };
}

const dissent = (ballot: Ballot): BallotAnswer => ({ type: 'promised', ballot, accepted: undefined, dissents: true });

const ABORTED = { vote: 'no', prepared: false, outcome: 'aborted' };

describe('a branch that is asked in a ballot', () => {
  it('without a vote promises, says that it has none, and never votes yes after that', async () => {
    const branch = threePhaseBranch();
    expect(await ask(branch, promise(at(1)))).toEqual(dissent(at(1)));
    expect(await stateOf(branch)).toEqual(ABORTED);
    expect(await manager.prepare(branch, mustNotRun)).toMatchObject({ vote: 'no' });
    expect(await ask(branch, FIRST)).toEqual({ type: 'outbid', ballot: at(0, 0), promised: at(1), dissents: true });
    const outbid = { type: 'outbid', ballot: at(1, 0), promised: at(1), dissents: true };
    expect(await ask(branch, promise(at(1, 0)))).toEqual(outbid);
    expect(await ask(branch, accept(at(1), 'abort'))).toEqual({ type: 'accepted', ballot: at(1), dissents: true });
    const accepted = { ballot: at(1), value: 'abort' };
    expect(await ask(branch, promise(at(2)))).toEqual({ ...dissent(at(2)), accepted });
  });

  it('without a vote accepts the commit of a majority, and says that it has none', async () => {
    const branch = threePhaseBranch();
    expect(await ask(branch, accept(at(3), 'commit'))).toEqual({ type: 'accepted', ballot: at(3), dissents: true });
    expect(await stateOf(branch)).toEqual(ABORTED);
    expect(await ask(branch, promise(at(4)))).toMatchObject({ accepted: { ballot: at(3), value: 'commit' } });
  });

  it('knows the decision only once it was told: a vote of no is none, nor is a commit that came too late', async () => {
    const refusing = threePhaseBranch();
    const failing = (): Promise<never> => Promise.reject(new Error('refused'));
    expect(await manager.prepare(refusing, failing)).toMatchObject({ vote: 'no' });
    expect(await ask(refusing, promise(at(1)))).toEqual(dissent(at(1)));
    await manager.abort(refusing);
    expect(await ask(refusing, promise(at(2)))).toEqual(decided('abort'));
    const late = threePhaseBranch();
    expect(await manager.commit(late)).toBe('heuristic-rollback');
    expect(await manager.rollBack(late)).toBe('aborted');
    expect(await ask(late, promise(at(1)))).toEqual(dissent(at(1)));
  });

  it('prepared, without a row: nothing is known, and nothing is rolled back', async () => {
    const branch = threePhaseBranch();
    await manager.prepare(inTwoPhases(branch), add);
    expect(await ask(branch, promise(at(1)))).toBe('unknown');
    expect(await manager.commit(branch)).toBe('committed');
  });

  it.each(['commit', 'abort'] as const)('ended by %s, without a row, tells an abort only', async (decision) => {
    const branch = threePhaseBranch();
    await manager.prepare(inTwoPhases(branch), add);
    await manager[decision](branch);
    expect(await ask(branch, promise(at(1)))).toEqual(decision === 'abort' ? decided('abort') : 'unknown');
  });

  it('that said no, and died before it had aborted, aborts', async () => {
    const branch = threePhaseBranch();
    await manager.prepare(inTwoPhases(branch), add);
    await database.insertAcceptor(branch, { vote: 'no' });
    expect(await manager.listPrepared()).toMatchObject([{ branchId: branch.branchId, isAcceptor: true }]);
    expect(await ask(branch, promise(at(1)))).toEqual(dissent(at(1)));
    expect(await stateOf(branch)).toEqual(ABORTED);
  });

  it.each(['yes', 'read-only'] as const)('that voted %s promises, accepts and is outbid', async (vote) => {
    const branch = await voted(vote);
    expect(await ask(branch, FIRST)).toEqual({ type: 'accepted', ballot: at(0, 0) });
    const accepted = { ballot: at(0, 0), value: 'commit' };
    expect(await ask(branch, promise(at(1, 3)))).toEqual({ type: 'promised', ballot: at(1, 3), accepted });
    const outbid = { type: 'outbid', ballot: at(1, 1), promised: at(1, 3) };
    expect(await ask(branch, promise(at(1, 1)))).toEqual(outbid);
    expect(await ask(branch, accept(at(1, 1), 'abort'))).toEqual(outbid);
    expect(await ask(branch, accept(at(1, 3), 'commit'))).toEqual({ type: 'accepted', ballot: at(1, 3) });
    expect(await ask(branch, accept(at(1, 3), 'commit'))).toEqual({ type: 'accepted', ballot: at(1, 3) });
    expect(await ask(branch, promise(at(2, 0)))).toEqual({
      type: 'promised',
      ballot: at(2, 0),
      accepted: { ballot: at(1, 3), value: 'commit' },
    });
  });

  it('that has ended by abort tells that, to any ballot', async () => {
    const branch = await voted();
    await ask(branch, promise(at(7)));
    await manager.abort(branch);
    expect(await ask(branch, FIRST)).toEqual(decided('abort'));
    expect(await ask(branch, promise(at(9)))).toEqual(decided('abort'));
  });

  it('that is committed goes on as an acceptor, because somebody may have committed it by hand', async () => {
    const branch = await voted();
    await ask(branch, FIRST);
    await manager.commit(branch);
    expect(await ask(branch, promise(at(2)))).toEqual({
      type: 'promised',
      ballot: at(2),
      accepted: { ballot: at(0, 0), value: 'commit' },
      committed: true,
    });
    expect(await ask(branch, accept(at(2), 'commit'))).toEqual({ type: 'accepted', ballot: at(2) });
  });

  it.each([
    ['commit', 'abort'],
    ['abort', 'commit'],
  ] as const)('that was to %s and was ruled to %s tells the decision', async (decision, ruling) => {
    const branch = await voted();
    await manager.recordDecision(branch, decision);
    await manager.recordDecision(branch, decision);
    expect(await ask(branch, promise(at(1)))).toEqual(decided(decision));
    await manager[ruling](branch);
    expect(await ask(branch, promise(at(1)))).toEqual(decided(decision));
    expect(await manager.openBallot(branch)).toEqual(decided(decision));
    await expect(manager.recordDecision(branch, ruling)).rejects.toThrow(`the decision ${decision} on record`);
  });

  it('and is no acceptor records no decision', async () => {
    const branch = threePhaseBranch();
    await manager.recordDecision(branch, 'commit');
    expect(await database.voteOf(branch)).toBeUndefined();
  });
});

describe('a request is refused', () => {
  const self = (branchId: string): Acceptor => ({ branchId, participant: PARTICIPANT });

  it.each<[string, (branch: ThreePhaseWork) => readonly Acceptor[]]>([
    ['nobody', () => []],
    ['others only', () => threePhaseBranch().acceptors],
    ['the branch twice', ({ branchId }) => [self(branchId), self(branchId)]],
    ['something without a participant', ({ branchId }) => [{ branchId, participant: '' }]],
    ['something without an id', ({ branchId }) => [self(branchId), self('x')]],
  ])('among %s, with a vote or without', async (_, acceptorsFor) => {
    for (const branch of [threePhaseBranch(), await voted()]) {
      const before = await stateOf(branch);
      expect(await manager.answerBallot(branch, promise(at(1)), acceptorsFor(branch))).toBe('refused');
      expect(await stateOf(branch)).toEqual(before);
    }
  });

  it('in another set than the branch voted in, or in another order', async () => {
    const branch = await voted();
    const [first, second, third] = branch.acceptors as [Acceptor, Acceptor, Acceptor];
    for (const acceptors of [
      [second, first, third],
      [first, second],
      [first, second, { ...third, participant: 'z' }],
    ]) {
      expect(await manager.answerBallot(branch, promise(at(1)), acceptors)).toBe('refused');
    }
    expect(await ask(branch, promise(at(1)))).toMatchObject({ type: 'promised' });
  });

  it.each([at(0, 1), at(1, 4), at(-1), at(1.5), at(2 ** 31), at(Number.NaN)])(
    'in the impossible ballot %j',
    async (ballot) => {
      expect(await ask(await voted(), promise(ballot))).toBe('refused');
      const without = threePhaseBranch();
      expect(await ask(without, promise(ballot))).toBe('refused');
      expect(await database.voteOf(without)).toBeUndefined();
    },
  );

  it('far above all that was heard of, and nothing is kept of it', async () => {
    const branch = await voted();
    await ask(branch, promise(at(5)));
    expect(await ask(branch, promise(at(6 + MAXIMUM_ROUND_JUMP)))).toBe('refused');
    expect(await ask(branch, promise(at(5 + MAXIMUM_ROUND_JUMP)))).toMatchObject({ type: 'promised' });
  });
});

describe('what names the branch, but another transaction', () => {
  const elsewhere = (branch: ThreePhaseWork): ThreePhaseWork => ({ ...branch, transactionId: randomUUID() });

  it('and is a request, promises nothing', async () => {
    const branch = await voted();
    await expect(ask(elsewhere(branch), promise(at(7)))).rejects.toThrow(ResourceManagerUnavailableError);
    expect(await ask(branch, FIRST)).toEqual({ type: 'accepted', ballot: at(0, 0) });
  });

  it('and is an abort, is none to the branch that only read', async () => {
    const branch = await voted('read-only');
    expect(await manager.abort(elsewhere(branch))).toBe('aborted');
    expect(await ask(branch, FIRST)).toEqual({ type: 'accepted', ballot: at(0, 0) });
    expect(await manager.commit(branch)).toBe('read-only');
  });

  it('and is a ruling, records no decision', async () => {
    const branch = await voted();
    const recorded = manager.recordDecision(elsewhere(branch), 'abort');
    await expect(recorded).rejects.toThrow(ResourceManagerUnavailableError);
    expect(await ask(branch, FIRST)).toEqual({ type: 'accepted', ballot: at(0, 0) });
  });
});

describe('a ballot of its own', () => {
  it('lies above all that it has heard of, and is promised', async () => {
    const branch = await voted();
    const expected = { type: 'opened', ballot: at(1, 2), acceptors: branch.acceptors };
    expect(await manager.openBallot(branch)).toEqual(expected);
    expect(await ask(branch, FIRST)).toEqual({ type: 'outbid', ballot: at(0, 0), promised: at(1, 2) });
    await ask(branch, accept(at(8, 1), 'abort'));
    const accepted = { ballot: at(8, 1), value: 'abort' };
    expect(await other.openBallot(branch)).toEqual({ ...expected, ballot: at(9, 2), accepted });
  });

  it('is opened by nobody who has no vote of yes', async () => {
    const none = { type: 'not-an-acceptor' };
    expect(await manager.openBallot(threePhaseBranch())).toEqual(none);
    expect(await manager.openBallot(await voted('read-only'))).toEqual(none);
    const twoPhases = inTwoPhases(threePhaseBranch());
    await manager.prepare(twoPhases, add);
    expect(await manager.openBallot(twoPhases)).toEqual(none);
  });

  it('is not opened by a branch that has ended, or said no', async () => {
    const [committed, refused] = [await voted(), threePhaseBranch()];
    await manager.commit(committed);
    expect(await manager.openBallot(committed)).toEqual(decided('commit'));
    await database.insertAcceptor(refused, { vote: 'no' });
    expect(await manager.openBallot(refused)).toEqual({ type: 'not-an-acceptor' });
    expect(await stateOf(refused)).toEqual(ABORTED);
  });

  it('has a number that no other process ever gets', async () => {
    const branch = await voted();
    const opened = await Promise.all(
      Array.from({ length: 12 }, (_, turn) => (turn % 2 === 0 ? manager : other).openBallot(branch)),
    );
    const rounds = opened.map((one) => (one.type === 'opened' ? one.ballot.round : 0));
    expect([...rounds].sort((left, right) => left - right)).toEqual(rounds.map((_, place) => place + 1));
  });

  it('is none when all rounds are used up', async () => {
    const branch = threePhaseBranch();
    await database.insertAcceptor(branch, { promised_round: 2 ** 31 - 1, promised_proposer: 3 });
    expect(await manager.openBallot(branch)).toEqual({ type: 'not-an-acceptor' });
  });
});

describe('what was answered is durable', () => {
  it('and known to a process that starts later, on other connections', async () => {
    const branch = await voted();
    await ask(branch, accept(at(3), 'commit'));
    await database.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'concordat-%'",
    );
    const later = await database.open();
    expect(await ask(branch, promise(at(2)), later)).toEqual({ type: 'outbid', ballot: at(2), promised: at(3) });
    expect(await ask(branch, promise(at(4)), later)).toMatchObject({ accepted: { ballot: at(3), value: 'commit' } });
  });

  it('also where the database does not flush at every commit', async () => {
    const careless = await database.open(undefined, {}, '-c synchronous_commit=off');
    const [branch, reading, unasked] = [threePhaseBranch(), threePhaseBranch(), threePhaseBranch()];
    const flushes = async (what: () => Promise<unknown>): Promise<boolean> => {
      const [before] = await database.sql<{ at: string }>('SELECT pg_current_wal_insert_lsn() AS at');
      await what();
      const text = 'SELECT pg_current_wal_flush_lsn() > $1::pg_lsn AS flushed';
      return (await database.sql<{ flushed: boolean }>(text, [before?.at]))[0]?.flushed === true;
    };
    await careless.prepare(branch, add);
    const answers = {
      vote: await flushes(() => careless.prepare(reading, read)),
      promise: await flushes(() => ask(branch, promise(at(1)), careless)),
      acceptance: await flushes(() => ask(branch, accept(at(1), 'commit'), careless)),
      opening: await flushes(() => careless.openBallot(branch)),
      refusal: await flushes(() => ask(unasked, promise(at(1)), careless)),
      decision: await flushes(() => careless.recordDecision(branch, 'commit')),
    };
    expect(Object.entries(answers).filter(([, flushed]) => !flushed)).toEqual([]);
  });

  it('or the answer is not given: a lost connection', async () => {
    const branch = await voted();
    const { reached, release } = failpoints.hold('participant.acceptor-ballot.before-statement');
    const answer = ask(branch, promise(at(4)), other);
    const lost = expect(answer).rejects.toBeInstanceOf(ResourceManagerUnavailableError);
    await reached;
    await database.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'concordat-decision' AND state = 'idle in transaction'",
    );
    release();
    await lost;
    expect(await ask(branch, promise(at(2)))).toMatchObject({ type: 'promised' });
  });

  it('or the answer is not given: a row that somebody does not let go', async () => {
    const branch = await voted();
    const holder = await database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM concordat_acceptor WHERE branch_id = $1 FOR UPDATE', [branch.branchId]);
    const narrow = await database.open(undefined, { decisionConnections: 1 });
    const waiting = expect(ask(branch, promise(at(1)), narrow)).rejects.toThrow('55P03');
    await waiting;
    expect(await ask(threePhaseBranch(), promise(at(1)), narrow)).toEqual(dissent(at(1)));
    await holder.query('COMMIT');
    holder.release();
    expect(await ask(branch, promise(at(1)), narrow)).toMatchObject({ type: 'promised' });
  }, 30_000);
});

describe('a row that this library did not write', () => {
  it.each<[string, Record<string, unknown>]>([
    ['a set that is none', { acceptors: '{}' }],
    ['a set without the branch', { acceptors: JSON.stringify(threePhaseBranch().acceptors) }],
    ['another transaction', { transaction_id: randomUUID() }],
    ['a promise of nobody', { promised_round: 3, promised_proposer: 4 }],
    ['a promise below all', { promised_round: -1, promised_proposer: 0 }],
    [
      'an acceptance of nobody',
      { promised_round: 3, promised_proposer: 1, accepted_round: 0, accepted_proposer: 2, accepted_value: 'commit' },
    ],
  ])('with %s is answered from by nobody', async (_, change) => {
    const branch = threePhaseBranch();
    await database.insertAcceptor(branch, change);
    const unavailable = { code: 'RESOURCE_MANAGER_UNAVAILABLE', message: expect.stringContaining('unreadable') };
    await expect(ask(branch, promise(at(5)))).rejects.toMatchObject(unavailable);
    await expect(manager.openBallot(branch)).rejects.toMatchObject(unavailable);
    await expect(manager.prepare(branch, mustNotRun)).rejects.toMatchObject(unavailable);
  });

  it.each<[string, Record<string, unknown>]>([
    ['half a promise', { promised_round: 3 }],
    [
      'an acceptance above the promise',
      { promised_round: 1, promised_proposer: 1, accepted_round: 1, accepted_proposer: 2, accepted_value: 'commit' },
    ],
    ['an acceptance of nothing', { promised_round: 1, promised_proposer: 1, accepted_round: 1, accepted_proposer: 1 }],
    ['another vote', { vote: 'perhaps' }],
    ['another decision', { decision: 'perhaps' }],
  ])('with %s is refused by the table', async (_, change) => {
    await expect(database.insertAcceptor(threePhaseBranch(), change)).rejects.toMatchObject({ code: '23514' });
  });
});

describe('a ballot against a prepare that is under way: one of them wins', () => {
  it('the ballot, while the handlers run', async () => {
    const branch = threePhaseBranch();
    const { reached, release } = failpoints.hold('participant.prepare-transaction.before-statement');
    const vote = other.prepare(branch, take);
    await reached;
    expect(await ask(branch, promise(at(1)))).toEqual(dissent(at(1)));
    release();
    expect(await vote).toMatchObject({ vote: 'no', error: { code: 'BRANCH_ABORTED' } });
    expect([await stateOf(branch), await database.quantity()]).toEqual([ABORTED, 10]);
  });

  it('the ballot, when it has looked before the PREPARE and is on record before the vote', async () => {
    const branch = threePhaseBranch();
    const late = await database.open(failpoints);
    const ballot = failpoints.hold('participant.acceptor-lock.after-statement');
    const answer = ask(branch, promise(at(1)), late);
    await ballot.reached;
    const voting = failpoints.hold('participant.acceptor-vote.before-statement');
    const vote = other.prepare(branch, take);
    await voting.reached;
    expect(await database.isPrepared(branch)).toBe(true);
    ballot.release();
    expect(await answer).toEqual(dissent(at(1)));
    voting.release();
    expect(await vote).toMatchObject({ vote: 'no' });
    expect([await stateOf(branch), await database.quantity()]).toEqual([ABORTED, 10]);
  });

  it.each(['read committed', 'repeatable read', 'serializable'])(
    'the vote, when the ballot has looked before it and is late, in a database of %s',
    async (isolation) => {
      const branch = threePhaseBranch();
      const options = `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`;
      const late = await database.open(failpoints, {}, options);
      const ballot = failpoints.hold('participant.acceptor-lock.after-statement');
      const answer = ask(branch, promise(at(1)), late);
      await ballot.reached;
      expect(await manager.prepare(branch, take)).toEqual({ vote: 'yes', results: [9] });
      ballot.release();
      expect(await answer).toEqual({ type: 'promised', ballot: at(1), accepted: undefined });
      expect(await stateOf(branch)).toEqual({ vote: 'yes', prepared: true, outcome: undefined });
    },
  );

  it('neither both nor none, whenever they meet', async () => {
    for (let round = 0; round < 40; round++) {
      const branch = threePhaseBranch();
      const work = round % 3 === 0 ? read : add;
      const preparing = other.prepare(branch, work);
      // spread over the statements of the prepare, which are about eight round trips
      for (let trip = 0; trip < round % 10; trip++) await database.sql('SELECT 1');
      const [answer, vote] = await Promise.all([ask(branch, promise(at(1))), preparing]);
      const state = await stateOf(branch);
      if (vote === 'busy') throw new Error('nobody else is at work');
      if (vote.vote === 'no') {
        expect([answer, state]).toEqual([dissent(at(1)), ABORTED]);
        continue;
      }
      expect(state).toEqual({ vote: vote.vote, prepared: vote.vote === 'yes', outcome: undefined });
      expect(answer === 'unknown' || (answer !== 'refused' && answer.type === 'promised')).toBe(true);
      await manager.abort(branch);
    }
  }, 60_000);

  it('two ballots at once abort a branch without a vote, and both say so', async () => {
    const branch = threePhaseBranch();
    const answers = await Promise.all([ask(branch, promise(at(1))), ask(branch, promise(at(1, 3)), other)]);
    const outbid = { type: 'outbid', ballot: at(1), promised: at(1, 3), dissents: true };
    expect(answers[1]).toEqual(dissent(at(1, 3)));
    expect([dissent(at(1)), outbid]).toContainEqual(answers[0]);
    expect(await stateOf(branch)).toEqual(ABORTED);
  });

  it('a ballot that has waited for the row sees what was promised meanwhile', async () => {
    const branch = await voted();
    const first = failpoints.hold('participant.acceptor-ballot.before-statement');
    const answer = ask(branch, promise(at(5)), other);
    await first.reached;
    const second = ask(branch, promise(at(4)));
    await waitFor('the second waits for the row', async () => {
      const text =
        "SELECT FROM pg_stat_activity WHERE application_name = 'concordat-decision' AND wait_event_type = 'Lock'";
      return (await database.sql(text)).length === 1;
    });
    first.release();
    expect(await answer).toMatchObject({ type: 'promised' });
    expect(await second).toEqual({ type: 'outbid', ballot: at(4), promised: at(5) });
  });
});
