import { afterEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { SystemClock, SystemRandom, UuidV7Generator } from '@concordat/foundation';
import type { BallotRequest } from '@concordat/commit-protocol';
import { ReplicatedPostgres } from '../../../../../test/support/replicated-postgres.js';
import { waitFor } from '../../../../../test/support/wait-for.js';
import { BranchAbstainsError } from '../../runtime/errors.js';
import type { ThreePhaseWork } from '../../runtime/resource-manager.js';
import type { DatabaseChange } from './database-watch.js';
import { PostgresResourceManager } from '../postgres-resource-manager.js';
import type { Work } from '../session/context.js';
import { PARTICIPANT, inTwoPhases, mustNotRun, threePhaseBranch } from '../testing/three-phase-database.js';

const ids = new UuidV7Generator(() => Date.now(), new SystemRandom());
const PROMISE: BallotRequest = { type: 'promise', ballot: { round: 1, proposer: 1 } };
const FIRST: BallotRequest = { type: 'accept', ballot: { round: 0, proposer: 0 }, value: 'commit' };

const add: Work = async ({ client, branch }) => {
  await client.query('INSERT INTO item VALUES ($1)', [branch.branchId]);
  return ['added'];
};

const branchNow = (): ThreePhaseWork => threePhaseBranch({ transactionId: ids.next(), branchId: randomUUID() });

/** Begun when the limit that a change sets is over. */
const later = new UuidV7Generator(() => Date.now() + 60_000, new SystemRandom());
const branchLater = (): ThreePhaseWork => threePhaseBranch({ transactionId: later.next() });

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startPair(): Promise<ReplicatedPostgres> {
  const pair = await ReplicatedPostgres.start();
  cleanups.push(() => pair.stop());
  await pair.sql('CREATE TABLE item (id text PRIMARY KEY)');
  return pair;
}

async function open(url: string, options = ''): Promise<PostgresResourceManager & { changes: DatabaseChange[] }> {
  const changes: DatabaseChange[] = [];
  const manager = new PostgresResourceManager(
    {
      connectionString: options === '' ? url : `${url}?options=${encodeURIComponent(options)}`,
      cluster: 'test',
      participant: PARTICIPANT,
    },
    { clock: new SystemClock(), onDatabaseChanged: (change) => void changes.push(change) },
  );
  cleanups.push(() => manager.close());
  await manager.start();
  return Object.assign(manager, { changes });
}

describe('a database that has failed over to an asynchronous standby', () => {
  it('is known to be another one, abstains from what began before, also after a restart, and goes on', async () => {
    const pair = await startPair();
    const manager = await open(pair.url);
    const [kept, lost] = [branchNow(), branchNow()];
    expect(await manager.prepare(kept, add)).toMatchObject({ vote: 'yes' });
    await pair.catchUp();
    await pair.cutOff();
    expect(await manager.answerBallot(kept, FIRST, kept.acceptors)).toEqual({ type: 'accepted', ballot: FIRST.ballot });
    expect(await manager.prepare(lost, add)).toMatchObject({ vote: 'yes' });
    expect(await manager.answerBallot(lost, FIRST, lost.acceptors)).toMatchObject({ type: 'accepted' });

    await pair.failOver();
    await waitFor('the new database answers', async () =>
      manager.ping().then(
        () => true,
        () => false,
      ),
    );
    expect(manager.changes).toMatchObject([{ detail: 'it is on timeline 2, and was on 1' }]);

    // it still has the vote of the one, and neither knows what it had accepted
    const abstains = { type: 'abstains', ballot: PROMISE.ballot };
    for (const process of [manager, await open(pair.url)]) {
      expect(await process.answerBallot(kept, PROMISE, kept.acceptors)).toEqual(abstains);
      expect(await process.answerBallot(lost, PROMISE, lost.acceptors)).toEqual({ ...abstains, dissents: true });
      expect(await process.openBallot(kept)).toEqual({ type: 'not-an-acceptor' });
      for (const branch of [kept, lost])
        await expect(process.prepare({ ...branch, isFirstSending: false }, mustNotRun)).rejects.toThrow(
          BranchAbstainsError,
        );
      expect(new Date(process.abstainsBefore).getTime()).toBeGreaterThan(Date.now() - 60_000);
    }
    expect(await manager.commit(kept)).toBe('committed');
    expect(await manager.commit(lost)).toBe('heuristic-rollback');

    const young = branchLater();
    expect(await manager.prepare(young, add)).toMatchObject({ vote: 'yes' });
    expect(await manager.answerBallot(young, FIRST, young.acceptors)).toMatchObject({ type: 'accepted' });
    expect(manager.changes).toHaveLength(1);
  }, 120_000);

  it('answers again once an operator has removed the limit', async () => {
    const pair = await startPair();
    const manager = await open(pair.url);
    const branch = branchNow();
    await pair.catchUp();
    await pair.failOver();
    await waitFor('the new database answers', async () =>
      manager.ping().then(
        () => true,
        () => false,
      ),
    );
    expect(await manager.answerBallot(branch, PROMISE, branch.acceptors)).toMatchObject({ type: 'abstains' });
    await pair.standbySql('UPDATE concordat_database SET abstains_before = NULL');
    expect(await manager.answerBallot(branch, PROMISE, branch.acceptors)).toMatchObject({ type: 'promised' });
    expect(await manager.prepare(branchNow(), add)).toMatchObject({ vote: 'yes' });
  }, 120_000);
});

describe('what is told where there is a synchronous standby', () => {
  it.each(['local', 'off'])(
    'is there, too, also with synchronous_commit %s, and when another session did it',
    async (level) => {
      const pair = await startPair();
      const manager = await open(pair.url, `-c synchronous_commit=${level}`);
      const early = branchNow();
      await pair.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
      await pair.sql('SELECT pg_reload_conf()');
      expect(await manager.prepare(early, add)).toMatchObject({ vote: 'yes' });
      await pair.cutOff();

      const twoPhases = inTwoPhases(branchNow());
      const given: string[] = [];
      const first = manager.prepare(twoPhases, add).then(() => given.push('the vote of PREPARE'));
      await waitFor(
        'it is prepared',
        async () =>
          (await pair.sql('SELECT gid FROM pg_prepared_xacts WHERE database = current_database()')).length === 2,
      );
      const again = manager
        .prepare({ ...twoPhases, preparedByService: true }, mustNotRun)
        .then(() => given.push('the vote of a look'));
      const onePhase = { ...twoPhases, transactionId: ids.next(), branchId: randomUUID() };
      const delegated = manager.commitOnePhase(onePhase, add).then(() => given.push('the end in one phase'));
      const committed = manager.commit(early).then(() => given.push('the end of a commit'));
      const promised = manager.answerBallot(early, PROMISE, early.acceptors).then(() => given.push('a promise'));
      await waitFor('all of them wait for the standby', async () => {
        return (await pair.sql("SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'")).length === 5;
      });
      expect(given).toEqual([]);
      await pair.follow();
      await Promise.all([first, again, delegated, committed, promised]);
      expect(given).toHaveLength(5);
    },
    120_000,
  );
});
