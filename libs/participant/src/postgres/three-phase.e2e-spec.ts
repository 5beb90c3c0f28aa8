import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { BallotRequest } from '@concordat/commit-protocol';
import { waitFor } from '../../../../test/support/wait-for.js';
import { BranchRefusedError, ResourceManagerUnavailableError } from '../runtime/errors.js';
import type { ThreePhaseWork, VoteResult } from '../runtime/resource-manager.js';
import type { PostgresResourceManager } from './postgres-resource-manager.js';
import type { Work } from './session/context.js';
import {
  ThreePhaseDatabase,
  gidOf,
  inTwoPhases,
  mustNotRun,
  read,
  take,
  threePhaseBranch,
} from './testing/three-phase-database.js';
import { HeldFailpoints } from './testing/held-failpoints.js';

const PROMISE: BallotRequest = { type: 'promise', ballot: { round: 1, proposer: 1 } };
const CUT = new Error('the process dies here');

const refuse: Work = () => Promise.reject(new BranchRefusedError('SOLD_OUT', 'nothing left'));
const notPrepared: Work = () => Promise.reject(new BranchRefusedError('NOT_PREPARED', 'it is not there'));
const refused = (code: string): unknown => ({ vote: 'no', results: [], error: { code } });

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

/** Prepares in the other process until its vote is about to go on record. */
async function preparedUpToVote(
  branch: ThreePhaseWork,
  work: Work,
): Promise<{ vote: Promise<VoteResult | 'busy'>; release: (error?: Error) => void }> {
  const { reached, release } = failpoints.hold('participant.acceptor-vote.before-statement');
  const vote = other.prepare(branch, work);
  await reached;
  return { vote, release };
}

async function stateOf(branch: ThreePhaseWork): Promise<Record<string, unknown>> {
  return {
    vote: await database.voteOf(branch),
    prepared: await database.isPrepared(branch),
    outcome: await database.outcomeOf(branch),
  };
}

async function leftPrepared(branch: ThreePhaseWork): Promise<void> {
  const { vote, release } = await preparedUpToVote(branch, take);
  release(CUT);
  await expect(vote).rejects.toBeInstanceOf(ResourceManagerUnavailableError);
}

describe('a vote is on record before it is given', () => {
  it('yes, and a repeat at another process is answered from there, with its results', async () => {
    const branch = threePhaseBranch();
    const expected = { vote: 'yes', results: [9] };
    expect(await other.prepare(branch, take)).toEqual(expected);
    expect(await stateOf(branch)).toEqual({ vote: 'yes', prepared: true, outcome: undefined });
    expect(await manager.prepare(branch, mustNotRun)).toEqual(expected);
    expect(await manager.commit(branch)).toBe('committed');
    expect(await manager.prepare(branch, mustNotRun)).toEqual(expected);
    expect(await database.quantity()).toBe(9);
  });

  it('read-only, and a repeat does not read again', async () => {
    const branch = threePhaseBranch();
    const expected = { vote: 'read-only', results: [10] };
    expect(await other.prepare(branch, read)).toEqual(expected);
    expect(await stateOf(branch)).toEqual({ vote: 'read-only', prepared: false, outcome: undefined });
    expect(await manager.prepare(branch, mustNotRun)).toEqual(expected);
  });

  it('no, with its tombstone and its reason', async () => {
    const branch = threePhaseBranch();
    expect(await other.prepare(branch, refuse)).toMatchObject({ ...(refused('SOLD_OUT') as object) });
    expect(await stateOf(branch)).toEqual({ vote: 'no', prepared: false, outcome: 'aborted' });
    expect(await manager.prepare(branch, mustNotRun)).toMatchObject({ ...(refused('SOLD_OUT') as object) });
    expect(await manager.commitOnePhase(inTwoPhases(branch), mustNotRun)).toMatchObject({
      end: 'aborted',
      error: { code: 'SOLD_OUT' },
    });
  });

  it('no, when the deadline has passed', async () => {
    const branch = threePhaseBranch({ deadline: Date.now() - 1 });
    expect(await manager.prepare(branch, mustNotRun)).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } });
    expect(await stateOf(branch)).toEqual({ vote: 'no', prepared: false, outcome: 'aborted' });
  });

  it('stays yes after an abort, by the decision or by hand', async () => {
    const [decided, byHand] = [threePhaseBranch(), threePhaseBranch()];
    await manager.prepare(decided, take);
    await manager.abort(decided);
    expect(await manager.prepare(decided, mustNotRun)).toMatchObject({ vote: 'yes' });
    await manager.prepare(byHand, take);
    await database.sql(`ROLLBACK PREPARED '${gidOf(byHand)}'`);
    expect(await manager.prepare(byHand, mustNotRun)).toMatchObject({ vote: 'yes' });
    expect(await manager.commit(byHand)).toBe('heuristic-rollback');
  });

  it('is not given after an abort that came first, and the handlers do not run', async () => {
    const branch = threePhaseBranch();
    await manager.abort(branch);
    expect(await manager.prepare(branch, mustNotRun)).toMatchObject({ vote: 'no', error: { code: 'BRANCH_ABORTED' } });
  });

  it('is not given in another set of branches', async () => {
    const branch = threePhaseBranch();
    const { vote, release } = await preparedUpToVote(branch, take);
    await manager.prepare({ ...branch, acceptors: [...branch.acceptors].reverse() }, mustNotRun);
    release();
    await expect(vote).rejects.toThrow('another set');
  });

  it.each([
    ['nobody', []],
    ['others', threePhaseBranch().acceptors],
  ])('is not even asked for among %s', async (_, acceptors) => {
    const branch = threePhaseBranch({ acceptors });
    await expect(manager.prepare(branch, mustNotRun)).rejects.toThrow('one of its acceptors');
    expect(await stateOf(branch)).toEqual({ vote: undefined, prepared: false, outcome: undefined });
  });
});

describe('a process that died between PREPARE and the row', () => {
  it('leaves a branch of which nothing is said, and which votes when it is asked again', async () => {
    const branch = threePhaseBranch();
    await leftPrepared(branch);
    expect(await stateOf(branch)).toEqual({ vote: undefined, prepared: true, outcome: undefined });
    expect(await manager.listPrepared()).toMatchObject([{ branchId: branch.branchId, isAcceptor: false }]);
    expect(await manager.answerBallot(branch, PROMISE, branch.acceptors)).toBe('unknown');
    expect(await manager.openBallot(branch)).toEqual({ type: 'not-an-acceptor' });
    expect(await database.isPrepared(branch)).toBe(true);
    expect(await manager.prepare(branch, mustNotRun)).toEqual({ vote: 'yes', results: [] });
    expect(await manager.listPrepared()).toMatchObject([{ branchId: branch.branchId, isAcceptor: true }]);
    expect(await manager.answerBallot(branch, PROMISE, branch.acceptors)).toMatchObject({ type: 'promised' });
  });

  it('whose work was committed by hand votes with the results of the ledger', async () => {
    const branch = threePhaseBranch();
    await leftPrepared(branch);
    await database.sql(`COMMIT PREPARED '${gidOf(branch)}'`);
    expect(await manager.prepare(branch, mustNotRun)).toEqual({ vote: 'yes', results: [9] });
    expect(await database.voteOf(branch)).toBe('yes');
  });

  it('whose answer to PREPARE was lost votes yes', async () => {
    const branch = threePhaseBranch();
    const { reached, release } = failpoints.hold('participant.prepare-transaction.after-statement');
    const vote = other.prepare(branch, take);
    await reached;
    release(CUT);
    expect(await vote).toEqual({ vote: 'yes', results: [] });
    expect(await stateOf(branch)).toEqual({ vote: 'yes', prepared: true, outcome: undefined });
  });

  it('before a tombstone that its no needs: whoever comes next writes it', async () => {
    const branch = threePhaseBranch();
    const { reached, release } = failpoints.hold('participant.tombstone.before-statement');
    const vote = other.prepare(branch, refuse);
    await reached;
    release(CUT);
    await expect(vote).rejects.toBeInstanceOf(ResourceManagerUnavailableError);
    expect(await stateOf(branch)).toEqual({ vote: 'no', prepared: false, outcome: undefined });
    expect(await manager.prepare(branch, mustNotRun)).toMatchObject({ vote: 'no', error: { code: 'SOLD_OUT' } });
    expect(await database.outcomeOf(branch)).toBe('aborted');
  });
});

describe('two processes at one branch: the first vote on record stands', () => {
  it('read-only, then yes: what the second prepared is taken back', async () => {
    const branch = threePhaseBranch();
    const second = await preparedUpToVote(branch, take);
    // The first one ran before; its vote is late.
    await database.sql(
      `INSERT INTO concordat_acceptor (branch_id, transaction_id, vote, result, acceptors) VALUES ($1, $2, 'read-only', '[10]', $3)`,
      [branch.branchId, branch.transactionId, JSON.stringify(branch.acceptors)],
    );
    second.release();
    expect(await second.vote).toEqual({ vote: 'read-only', results: [10] });
    expect(await stateOf(branch)).toEqual({ vote: 'read-only', prepared: false, outcome: undefined });
    expect(await manager.commit(branch)).toBe('read-only');
  });

  it('yes, then read-only: both vote yes', async () => {
    const branch = threePhaseBranch();
    const second = await preparedUpToVote(branch, read);
    expect(await manager.prepare(branch, take)).toEqual({ vote: 'yes', results: [9] });
    second.release();
    expect(await second.vote).toEqual({ vote: 'yes', results: [9] });
    expect(await database.isPrepared(branch)).toBe(true);
  });

  it('no, then read-only: both vote no', async () => {
    const branch = threePhaseBranch();
    const second = await preparedUpToVote(branch, read);
    expect(await manager.prepare(branch, refuse)).toMatchObject({ vote: 'no' });
    second.release();
    expect(await second.vote).toMatchObject({ vote: 'no', error: { code: 'SOLD_OUT' } });
  });

  it('read-only, then no: both vote read-only, and there is no tombstone', async () => {
    const branch = threePhaseBranch();
    const second = await preparedUpToVote(branch, refuse);
    expect(await manager.prepare(branch, read)).toEqual({ vote: 'read-only', results: [10] });
    second.release();
    expect(await second.vote).toEqual({ vote: 'read-only', results: [10] });
    expect(await stateOf(branch)).toEqual({ vote: 'read-only', prepared: false, outcome: undefined });
  });

  it('of what one has prepared the other puts the vote on record, and the results are not lost', async () => {
    const branch = threePhaseBranch();
    const first = await preparedUpToVote(branch, take);
    expect(await manager.prepare(branch, mustNotRun)).toEqual({ vote: 'yes', results: [] });
    first.release();
    expect(await first.vote).toEqual({ vote: 'yes', results: [9] });
  });

  it('while one is at work the other is busy', async () => {
    const branch = threePhaseBranch();
    const { reached, release } = failpoints.hold('participant.prepare-transaction.before-statement');
    const vote = other.prepare(branch, take);
    await reached;
    expect(await manager.prepare(branch, mustNotRun)).toBe('busy');
    release();
    expect(await vote).toMatchObject({ vote: 'yes' });
  });
});

describe('branches that their service has enlisted', () => {
  const enlisted = { preparedByService: true } as const;

  it('yes: what is prepared is found, and its vote goes on record', async () => {
    const branch = threePhaseBranch({ ...enlisted, enlistedVote: 'yes' });
    await leftPrepared({ ...branch, preparedByService: false });
    expect(await manager.prepare(branch, notPrepared)).toMatchObject({ vote: 'yes' });
    expect(await database.voteOf(branch)).toBe('yes');
  });

  it('yes, but nothing is there: no', async () => {
    const branch = threePhaseBranch({ ...enlisted, enlistedVote: 'yes' });
    expect(await manager.prepare(branch, notPrepared)).toMatchObject({ vote: 'no', error: { code: 'NOT_PREPARED' } });
    expect(await stateOf(branch)).toEqual({ vote: 'no', prepared: false, outcome: 'aborted' });
  });

  it('read-only: the vote goes on record and nothing is run', async () => {
    const branch = threePhaseBranch({ ...enlisted, enlistedVote: 'read-only', deadline: Date.now() - 1 });
    expect(await manager.prepare(branch, mustNotRun)).toEqual({ vote: 'read-only', results: [] });
    expect(await database.voteOf(branch)).toBe('read-only');
    expect(await manager.commit(branch)).toBe('read-only');
  });
});

describe('the end of an acceptor', () => {
  it('that voted read-only is read-only, and an abort leaves a tombstone', async () => {
    const [committed, aborted] = [threePhaseBranch(), threePhaseBranch()];
    await manager.prepare(committed, read);
    expect(await manager.commit(committed)).toBe('read-only');
    await manager.prepare(aborted, read);
    expect(await manager.abort(aborted)).toBe('aborted');
    expect(await database.outcomeOf(aborted)).toBe('aborted');
  });

  it('in two phases is not touched: the branch is prepared and no acceptor', async () => {
    const twoPhases = inTwoPhases(threePhaseBranch());
    expect(await manager.prepare(twoPhases, take)).toMatchObject({ vote: 'yes' });
    expect(await manager.listPrepared()).toMatchObject([{ isAcceptor: false }]);
    expect(await manager.commit(twoPhases)).toBe('committed');
  });

  it('a gid whose last part is no key is not looked up, and not listed', async () => {
    await database.sql('CREATE TABLE IF NOT EXISTS strange (id int)');
    const client = await database.pool.connect();
    await client.query('BEGIN; INSERT INTO strange VALUES (1)');
    await client.query("PREPARE TRANSACTION 'concordat:test:x:not-a-uuid'");
    client.release();
    expect(await manager.listPrepared()).toEqual([]);
  });
});

describe('connections', () => {
  it('votes and ballots do not wait behind work that waits for locks', async () => {
    const [holder, waiting] = [threePhaseBranch(), threePhaseBranch()];
    const narrow = await database.open(undefined, { workConnections: 1 });
    await narrow.prepare(holder, take);
    const vote = narrow.prepare(waiting, take);
    await waitFor('the work waits', async () => {
      const text =
        "SELECT FROM pg_stat_activity WHERE application_name = 'concordat-work' AND wait_event_type = 'Lock'";
      return (await database.sql(text)).length === 1;
    });
    expect(await narrow.answerBallot(holder, PROMISE, holder.acceptors)).toMatchObject({ type: 'promised' });
    expect(await narrow.openBallot(holder)).toMatchObject({ type: 'opened' });
    await narrow.commit(holder);
    expect(await vote).toEqual({ vote: 'yes', results: [8] });
  });
});
