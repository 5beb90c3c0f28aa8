import type { PoolClient } from 'pg';
import { SystemRandom, backoffMs, type Clock, sleep } from '@concordat/foundation';
import type { BranchError, Decision } from '@concordat/commit-protocol';
import { ResourceManagerUnavailableError } from '../runtime/errors.js';
import type { BranchIdentity, PreparedBranch } from '../runtime/resource-manager.js';
import { orUnavailable } from './connections/availability.js';
import type { PoolName, PostgresPools } from './connections/pools.js';
import type { AcceptorStatements } from './statements/acceptor-statements.js';
import type { BranchStatements, Tombstone } from './statements/branch-statements.js';
import { isSessionDead } from './statements/failure-classes.js';
import type { AcceptorTrace, BranchTrace } from './statements/rows.js';
import { SQL_STATE, sqlStateOf } from './statements/sql-state.js';

/** About ten seconds with a lock timeout of 100 ms per round; then a later attempt finds out. */
const MAXIMUM_ROUNDS = 100;
const BUSY_BACKOFF = { baseMs: 5, capMs: 100 };

export interface BranchDatabasePorts {
  readonly pools: PostgresPools;
  readonly branchStatements: BranchStatements;
  readonly acceptorStatements: AcceptorStatements;
  readonly clock: Clock;
}

/**
 * The state of a branch in the database, and the ways to end it; the same in two phases and in three.
 *
 * The ledger row of a branch is part of its prepared transaction, so it is visible only after the commit, and a
 * tombstone under the same key makes a late `PREPARE` fail. Whatever a method resolves with is durable. It rejects with
 * `ResourceManagerUnavailableError` when the state is unknown, and may be called again then.
 */
export class BranchDatabase {
  private readonly random = new SystemRandom();

  constructor(private readonly ports: BranchDatabasePorts) {}

  /** Resolves when the database answers. */
  async ping(): Promise<void> {
    await this.with('look', (client) => this.ports.branchStatements.ping(client));
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    return this.with('look', (client) => this.ports.branchStatements.listPrepared(client));
  }

  async look(branch: BranchIdentity): Promise<BranchTrace> {
    const { branchStatements } = this.ports;
    return this.with('look', async (client) => {
      const trace = await branchStatements.look(client, branch);
      if (trace.prepared || trace.ledger) await branchStatements.confirm(client);
      return trace;
    });
  }

  /** Like `look`, with the acceptor's row. */
  async lookAtAcceptor(branch: BranchIdentity): Promise<AcceptorTrace> {
    return this.transact('look', (client) => this.ports.acceptorStatements.look(client, branch));
  }

  /** See `ResourceManager.commit`. */
  async commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'> {
    return this.inRounds('commit', branch, async () => {
      const answer = await this.endPrepared(branch, 'commit');
      if (answer === 'done') return 'committed';
      if (answer === 'busy') return undefined;
      const trace = await this.lookAtAcceptor(branch);
      if (trace.ledger?.outcome === 'committed') return 'committed';
      if (!trace.ledger && trace.acceptor?.vote === 'read-only') return 'read-only';
      // Neither prepared nor committed: somebody rolled it back by hand.
      return trace.prepared ? undefined : 'heuristic-rollback';
    });
  }

  /** Resolves when nothing of the branch is prepared, and its tombstone, or the row of its commit, is durable. */
  async rollBack(branch: BranchIdentity, tombstone: Tombstone = {}): Promise<'aborted' | 'heuristic-commit'> {
    return this.inRounds('abort', branch, async () => {
      if ((await this.endPrepared(branch, 'abort')) === 'busy') return undefined;
      const trace = await this.tryTombstone('decision', branch, tombstone);
      if (trace?.ledger?.outcome === 'committed') return 'heuristic-commit';
      // Nothing is visible: a late PREPARE holds the same key. It ends soon, so begin again.
      return trace?.ledger && !trace.prepared ? 'aborted' : undefined;
    });
  }

  /** Resolves when nothing of the branch is prepared; it gets no tombstone. */
  async discard(branch: BranchIdentity): Promise<void> {
    await this.inRounds('discarding', branch, async () => {
      const answer = await this.endPrepared(branch, 'abort');
      return answer === 'busy' ? undefined : answer;
    });
  }

  /**
   * Finds out what a failure left: prepared, recorded, or nothing. For nothing it writes a tombstone, so that it stays
   * nothing, before `no` is sent.
   */
  async settle(branch: BranchIdentity, error: BranchError): Promise<BranchTrace> {
    return this.inRounds('settle', branch, async () => {
      const trace = (await this.tryTombstone('look', branch, { error })) ?? (await this.look(branch));
      // Nothing is visible, but our own lost session still holds the key; it will finish or die.
      return trace.prepared || trace.ledger ? trace : undefined;
    });
  }

  /** Ends the session that works on the branch, if there is one; a prepared transaction is left alone. */
  async endSession(branch: BranchIdentity): Promise<void> {
    await this.with('look', (client) => this.ports.branchStatements.endSessionOf(client, branch));
  }

  /** Lends one connection. A transaction that failed halfway is rolled back before the connection is lent again. */
  async transact<T>(pool: PoolName, use: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.with(pool, async (client) => {
      try {
        return await use(client);
      } catch (failure) {
        // Any other failure closes the connection, which rolls back as well.
        if (!isSessionDead(failure)) await this.ports.acceptorStatements.release(client);
        throw failure;
      }
    });
  }

  private async endPrepared(branch: BranchIdentity, decision: Decision): Promise<'done' | 'missing' | 'busy'> {
    const { pools, branchStatements } = this.ports;
    return orUnavailable(async () => {
      try {
        await pools.lanes.run((client) =>
          decision === 'commit'
            ? branchStatements.commitPrepared(client, branch)
            : branchStatements.rollbackPrepared(client, branch),
        );
        return 'done';
      } catch (error) {
        const state = sqlStateOf(error);
        if (state === SQL_STATE.undefinedObject) return 'missing';
        if (state === SQL_STATE.objectNotInPrerequisiteState) return 'busy';
        throw error;
      }
    });
  }

  /** Undefined when another transaction holds the branch's key. */
  private async tryTombstone(
    pool: PoolName,
    branch: BranchIdentity,
    tombstone: Tombstone,
  ): Promise<BranchTrace | undefined> {
    const { branchStatements } = this.ports;
    return this.with(pool, async (client) => {
      try {
        const trace = await branchStatements.insertTombstone(client, branch, tombstone);
        if (trace.prepared) await branchStatements.confirm(client);
        return trace;
      } catch (failure) {
        if (isSessionDead(failure)) throw failure;
        await branchStatements.rollback(client, true);
        if (sqlStateOf(failure) === SQL_STATE.lockNotAvailable) return undefined;
        throw failure;
      }
    });
  }

  private async with<T>(pool: PoolName, use: (client: PoolClient) => Promise<T>): Promise<T> {
    return orUnavailable(() => this.ports.pools.with(pool, use));
  }

  /** Repeats `round` until it has a result. @throws ResourceManagerUnavailableError after `MAXIMUM_ROUNDS` */
  private async inRounds<T>(what: string, branch: BranchIdentity, round: () => Promise<T | undefined>): Promise<T> {
    for (let count = 0; count < MAXIMUM_ROUNDS; count++) {
      const result = await round();
      if (result !== undefined) return result;
      await sleep(this.ports.clock, backoffMs(count, BUSY_BACKOFF, this.random));
    }
    throw new ResourceManagerUnavailableError(
      `${what} of branch ${branch.branchId} did not end in ${MAXIMUM_ROUNDS} rounds; it will be repeated`,
    );
  }
}
