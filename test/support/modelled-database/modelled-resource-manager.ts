import { invariant, TimeLimitError, withTimeLimit, type JsonValue } from '@concordat/foundation';
import {
  branchError,
  formatGid,
  type Acceptor,
  type BallotAnswer,
  type BallotRequest,
  type BranchError,
  type Decision,
  type OpenedBallot,
} from '@concordat/commit-protocol';
import {
  abstentionLimit,
  beginOf,
  BranchAbstainsError,
  BranchOccupiedError,
  BranchRefusedError,
  describeChange,
  ResourceManagerUnavailableError,
  timeLeftMs,
  type BranchIdentity,
  type DatabaseIdentity,
  type BranchWork,
  type HeldSession,
  type HeldWork,
  type OnePhaseResult,
  type PreparedBranch,
  type ResourceManager,
  type ThreePhaseWork,
  type TwoPhaseWork,
  type VoteResult,
} from '@concordat/participant';
import { conditionOf, DatabaseError } from './database-error.js';
import {
  BRANCH_ABORTED,
  conclusionOf,
  votedYes,
  voteOf,
  type AcceptorRow,
  type CastVote,
  type LedgerRow,
} from './database-rows.js';
import { DatabaseSession } from './database-session.js';
import { ModelledAcceptor } from './modelled-acceptor.js';
import { ModelledHeldSession, type Attempt } from './modelled-held-session.js';
import type { ModelledDatabase } from './modelled-database.js';
import type { SimulatedProcess } from '@concordat/foundation/testing';

interface Trace {
  readonly prepared: boolean;
  readonly ledger: LedgerRow | undefined;
}

type Tombstone = Pick<LedgerRow, 'error' | 'isDecided'>;

type Work = (session: DatabaseSession) => Promise<readonly JsonValue[]>;

const MAXIMUM_ROUNDS = 20;
/** As by default in production. */
const HANDLER_GRACE_MS = 1_000;

/** The command tag that a failed transaction answers with. */
class RolledBackError extends Error {
  override readonly name = 'RolledBackError';
}

/**
 * Protocol section 5 on the modelled database, statement by statement in the order in which the PostgreSQL
 * resource manager sends them.
 */
export class ModelledResourceManager implements ResourceManager<DatabaseSession> {
  private readonly acceptor: ModelledAcceptor;
  private known: DatabaseIdentity | undefined;
  private knownEpoch = -1;
  private newest = 0;

  constructor(
    private readonly cluster: string,
    private readonly database: ModelledDatabase,
    private readonly process: SimulatedProcess,
    private readonly lockTimeoutMs: number,
    private readonly onDatabaseChanged: (detail: string) => void = () => undefined,
  ) {
    this.acceptor = new ModelledAcceptor({
      connected: (use) => this.connected(use),
      gidOf: (branch) => this.gidOf(branch),
      rollBack: (branch) => this.rollBack(branch),
    });
  }

  prepare(branch: BranchWork, work: Work): Promise<VoteResult | 'busy'> {
    return this.vote(branch, () => this.work(branch, 'prepare', work));
  }

  async hold(branch: HeldWork): Promise<HeldSession<DatabaseSession>> {
    const session = new DatabaseSession(this.database, this.process);
    try {
      await this.recognise(session);
      const lockTimeoutMs = Math.max(1, Math.min(this.lockTimeoutMs, timeLeftMs(branch, this.process)));
      await session.openBranch(branch.branchId, lockTimeoutMs);
    } catch (cause) {
      session.break();
      if (conditionOf(cause) === 'branch_occupied') throw new BranchOccupiedError(branch.branchId);
      throw new ResourceManagerUnavailableError('the branch could not begin', { cause });
    }
    return new ModelledHeldSession(session, {
      finish: (work, results) => this.finish(session, work, results),
      vote: (work, attempt) => this.vote(work, attempt),
    });
  }

  endSession({ branchId }: BranchIdentity): Promise<void> {
    return this.connected((session) => session.endSessionsOf(branchId));
  }

  /** The end of a held session, which is not open any more behind it. */
  private async finish(session: DatabaseSession, branch: BranchWork, results: readonly JsonValue[]): Promise<Attempt> {
    try {
      return await this.close(session, branch, 'prepare', results);
    } catch (cause) {
      await session.rollback().catch(() => undefined);
      return { type: 'failed', error: branchErrorOf(cause) };
    } finally {
      session.break();
    }
  }

  private async vote(branch: BranchWork, attemptOnce: () => Promise<Attempt>): Promise<VoteResult | 'busy'> {
    this.newest = Math.max(this.newest, beginOf(branch.transactionId));
    if (branch.protocol === '3pc') return this.voteInThree(branch, attemptOnce);
    if (branch.preparedByService) {
      const trace = await this.look(branch);
      if (trace.prepared) return votedYes([]);
      if (trace.ledger) return voteOf(trace.ledger);
    }
    if (timeLeftMs(branch, this.process) <= 0) return this.settleVote(branch, DEADLINE_EXCEEDED);
    const attempt = await attemptOnce();
    switch (attempt.type) {
      case 'durable':
        return votedYes(attempt.results);
      case 'read-only':
        return { vote: 'read-only', results: attempt.results };
      case 'occupied': {
        const trace = await this.look(branch);
        if (trace.prepared) return votedYes([]);
        return trace.ledger ? voteOf(trace.ledger) : 'busy';
      }
      case 'failed':
        return this.settleVote(branch, attempt.error);
    }
  }

  /** Every vote goes through the acceptor's row, and the first one there stands. */
  private async voteInThree(branch: ThreePhaseWork, attemptOnce: () => Promise<Attempt>): Promise<VoteResult | 'busy'> {
    const earlier = await this.earlierVote(branch);
    if (earlier) return earlier;
    if (branch.enlistedVote === 'read-only') return this.cast(branch, { vote: 'read-only', results: [] });
    if (timeLeftMs(branch, this.process) <= 0) return this.refuse(branch, DEADLINE_EXCEEDED);
    const attempt = await attemptOnce();
    switch (attempt.type) {
      case 'durable':
        return this.cast(branch, { vote: 'yes', results: attempt.results });
      case 'read-only':
        return this.cast(branch, { vote: 'read-only', results: attempt.results });
      case 'occupied':
        return (await this.earlierVote(branch)) ?? 'busy';
      case 'failed':
        return (await this.earlierVote(branch)) ?? this.refuse(branch, attempt.error);
    }
  }

  private async earlierVote(branch: ThreePhaseWork): Promise<VoteResult | undefined> {
    const row = await this.connected(async (session) => {
      if (await session.abstains(branch.transactionId)) throw new BranchAbstainsError(branch.branchId);
      return session.readAcceptor(branch.branchId);
    });
    const { prepared, ledger } = await this.look(branch);
    if (row) return this.give(branch, row, prepared);
    if (prepared) return this.cast(branch, { vote: 'yes', results: [] });
    if (ledger?.outcome === 'committed') return this.cast(branch, { vote: 'yes', results: ledger.results });
    return ledger && voteOf(ledger);
  }

  private refuse(branch: ThreePhaseWork, error: BranchError): Promise<VoteResult> {
    return this.cast(branch, { vote: 'no', results: [], error });
  }

  private async cast(branch: ThreePhaseWork, cast: CastVote): Promise<VoteResult> {
    const row = await this.acceptor.recordVote(branch, branch.acceptors, cast);
    return this.give(branch, row, cast.vote === 'yes');
  }

  private async give(branch: BranchIdentity, row: AcceptorRow, mayBePrepared: boolean): Promise<VoteResult> {
    const { vote, results, error } = row;
    if (vote === 'no') {
      await this.rollBack(branch, error);
      return { vote, results: [], error: error ?? BRANCH_ABORTED };
    }
    if (vote === 'read-only' && mayBePrepared) await this.discard(branch);
    return { vote, results };
  }

  /** What an earlier run did not write was never voted on. */
  private async discard(branch: BranchIdentity): Promise<void> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      if ((await this.endPrepared(branch, 'abort')) !== 'busy') return;
      await this.pause();
    }
    throw new ResourceManagerUnavailableError('what was prepared could not be discarded');
  }

  async commitOnePhase(branch: TwoPhaseWork, work: Work): Promise<OnePhaseResult | 'busy'> {
    if (branch.preparedByService) {
      const trace = await this.look(branch);
      if (trace.prepared) return this.commitEnlisted(branch);
      if (trace.ledger) return conclusionOf(trace.ledger);
    }
    if (timeLeftMs(branch, this.process) <= 0) return this.settleConclusion(branch, DEADLINE_EXCEEDED);
    const attempt = await this.work(branch, 'commit', work);
    switch (attempt.type) {
      case 'durable':
        return { end: 'committed', results: attempt.results };
      case 'read-only':
        return { end: 'read-only', results: attempt.results };
      case 'occupied': {
        const trace = await this.look(branch);
        if (trace.prepared) return this.commitEnlisted(branch);
        return trace.ledger ? conclusionOf(trace.ledger) : 'busy';
      }
      case 'failed':
        return this.settleConclusion(branch, attempt.error);
    }
  }

  async commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      const answer = await this.endPrepared(branch, 'commit');
      if (answer === 'done') return 'committed';
      if (answer === 'missing') {
        const trace = await this.look(branch);
        if (trace.ledger?.outcome === 'committed') return 'committed';
        if (!trace.prepared) {
          const row = await this.connected((session) => session.readAcceptor(branch.branchId));
          return row?.vote === 'read-only' ? 'read-only' : 'heuristic-rollback';
        }
      }
      await this.pause();
    }
    throw new ResourceManagerUnavailableError('the commit did not come to an end');
  }

  abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    return this.endAborted(branch, { isDecided: true });
  }

  rollBack(branch: BranchIdentity, error?: BranchError): Promise<'aborted' | 'heuristic-commit'> {
    return this.endAborted(branch, { ...(error && { error }) });
  }

  private async endAborted(branch: BranchIdentity, tombstone: Tombstone): Promise<'aborted' | 'heuristic-commit'> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      if ((await this.endPrepared(branch, 'abort')) !== 'busy') {
        const trace = await this.tryTombstone(branch, tombstone);
        if (trace?.ledger?.outcome === 'committed') return 'heuristic-commit';
        if (trace?.ledger && !trace.prepared) return 'aborted';
      }
      await this.pause();
    }
    throw new ResourceManagerUnavailableError('the abort did not come to an end');
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    const prepared = await this.connected((session) => session.listPrepared());
    return prepared.map((branch) => ({ ...branch, isAcceptor: this.database.acceptors.has(branch.branchId) }));
  }

  answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'> {
    return this.acceptor.answerBallot(branch, request, acceptors);
  }

  openBallot(branch: BranchIdentity): Promise<OpenedBallot> {
    return this.acceptor.openBallot(branch);
  }

  recordDecision(branch: BranchIdentity, decision: Decision): Promise<void> {
    return this.acceptor.recordDecision(branch, decision);
  }

  gidOf({ transactionId, branchId }: BranchIdentity): string {
    return formatGid(this.cluster, transactionId, branchId);
  }

  private async work(branch: BranchWork, closing: 'prepare' | 'commit', work: Work): Promise<Attempt> {
    const { branchId } = branch;
    const session = new DatabaseSession(this.database, this.process);
    try {
      await this.recognise(session);
      const lockTimeoutMs = Math.max(1, Math.min(this.lockTimeoutMs, timeLeftMs(branch, this.process)));
      // Not awaited before the work: its first statement travels right behind, and does nothing if this fails.
      const opening = session.openBranch(branchId, lockTimeoutMs);
      opening.catch(() => undefined); // awaited below
      try {
        const results = await this.limited(session, branch, work);
        await opening;
        return await this.close(session, branch, closing, results);
      } catch (cause) {
        const occupied = await isOccupied(opening);
        await session.rollback().catch(() => undefined);
        return occupied ? { type: 'occupied' } : { type: 'failed', error: branchErrorOf(cause) };
      }
    } catch (cause) {
      throw new ResourceManagerUnavailableError('the branch could not begin', { cause });
    } finally {
      session.break();
    }
  }

  /** What the handlers do after their time has no effect, because their connection is closed. */
  private limited(session: DatabaseSession, branch: BranchWork, work: Work): Promise<readonly JsonValue[]> {
    const limitMs = Math.max(1, timeLeftMs(branch, this.process)) + HANDLER_GRACE_MS;
    return withTimeLimit(this.process, limitMs, 'the handlers of a branch', work(session)).catch((error: unknown) => {
      if (!(error instanceof TimeLimitError)) throw error;
      const code = session.isWaiting ? 'DATABASE_TIMEOUT' : 'HANDLER_TIMEOUT';
      session.break();
      throw new BranchRefusedError(code, 'there was no end before the deadline');
    });
  }

  private async close(
    session: DatabaseSession,
    branch: BranchWork,
    closing: 'prepare' | 'commit',
    results: readonly JsonValue[],
  ): Promise<Attempt> {
    const { transactionId, branchId } = branch;
    if (!(await session.hasWritten())) {
      if ((await session.commit()) !== 'COMMIT') throw new RolledBackError('rolled back');
      return { type: 'read-only', results };
    }
    const row: LedgerRow = { transactionId, outcome: 'committed', results };
    const tag =
      closing === 'prepare'
        ? await session.insertAndPrepare(branchId, row, this.gidOf(branch))
        : await session.insertAndCommit(branchId, row);
    if (tag === 'ROLLBACK') throw new RolledBackError('rolled back');
    return { type: 'durable', results };
  }

  private async settle(branch: BranchIdentity, error: BranchError): Promise<Trace> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      const trace = (await this.tryTombstone(branch, { error })) ?? (await this.look(branch));
      if (trace.prepared || trace.ledger) return trace;
      await this.pause();
    }
    throw new ResourceManagerUnavailableError('the branch did not settle');
  }

  private async settleVote(branch: BranchIdentity, error: BranchError): Promise<VoteResult> {
    const trace = await this.settle(branch, error);
    return trace.ledger ? voteOf(trace.ledger) : votedYes([]);
  }

  private async settleConclusion(branch: BranchIdentity, error: BranchError): Promise<OnePhaseResult> {
    const trace = await this.settle(branch, error);
    return trace.ledger ? conclusionOf(trace.ledger) : this.commitEnlisted(branch);
  }

  private async commitEnlisted(branch: BranchIdentity): Promise<OnePhaseResult> {
    return { end: await this.commit(branch), results: [] };
  }

  private endPrepared(branch: BranchIdentity, decision: 'commit' | 'abort'): Promise<'done' | 'missing' | 'busy'> {
    const gid = this.gidOf(branch);
    return this.connected(async (session) => {
      try {
        await (decision === 'commit' ? session.commitPrepared(gid) : session.rollbackPrepared(gid));
        return 'done';
      } catch (error) {
        const condition = conditionOf(error);
        if (condition === 'undefined_object') return 'missing';
        if (condition === 'object_not_in_prerequisite_state') return 'busy';
        throw error;
      }
    });
  }

  private tryTombstone(branch: BranchIdentity, tombstone: Tombstone): Promise<Trace | undefined> {
    const { transactionId, branchId } = branch;
    const row: LedgerRow = { transactionId, outcome: 'aborted', results: [], ...tombstone };
    return this.connected(async (session) => {
      try {
        return await session.insertTombstone(branchId, row, this.gidOf(branch));
      } catch (failure) {
        if (conditionOf(failure) === 'lock_not_available') return undefined;
        throw failure;
      }
    });
  }

  /** The gid first: a branch that is committed in between is then seen in the younger look at the ledger. */
  private look(branch: BranchIdentity): Promise<Trace> {
    return this.connected(async (session) => {
      const prepared = await session.isPrepared(this.gidOf(branch));
      return { prepared, ledger: await session.readLedger(branch.branchId) };
    });
  }

  private async connected<T>(use: (session: DatabaseSession) => Promise<T>): Promise<T> {
    const session = new DatabaseSession(this.database, this.process);
    try {
      await this.recognise(session);
      return await use(session);
    } catch (cause) {
      if (cause instanceof BranchAbstainsError) throw cause;
      throw new ResourceManagerUnavailableError('the database did not answer', { cause });
    } finally {
      session.break();
    }
  }

  /** On what would be a new connection: whether the database is the one that it was. */
  private async recognise(session: DatabaseSession): Promise<void> {
    const { epoch } = this.database;
    if (this.knownEpoch === epoch) return;
    const { identity, stored } = await session.identify();
    const detail = describeChange(identity, stored, this.known);
    if (detail !== undefined || !stored) {
      await session.recognise(identity, detail === undefined ? 0 : abstentionLimit(this.process.now(), this.newest));
      if (detail !== undefined) this.onDatabaseChanged(detail);
    }
    this.known = identity;
    this.knownEpoch = epoch;
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => void this.process.setTimer(20, resolve));
  }
}

const DEADLINE_EXCEEDED: BranchError = { code: 'DEADLINE_EXCEEDED', message: 'the deadline has passed' };

/** @throws what the opening failed with, unless it succeeded or found the branch occupied */
async function isOccupied(opening: Promise<void>): Promise<boolean> {
  try {
    await opening;
    return false;
  } catch (error) {
    if (conditionOf(error) === 'branch_occupied') return true;
    throw error;
  }
}

function branchErrorOf(cause: unknown): BranchError {
  if (cause instanceof BranchRefusedError) return branchError(cause.code, cause.message);
  if (conditionOf(cause) === 'lock_not_available') return { code: 'LOCK_TIMEOUT', message: 'a row is locked' };
  invariant(cause instanceof Error, 'errors are errors');
  const isOfDatabase = cause instanceof DatabaseError || cause instanceof RolledBackError;
  if (isOfDatabase) return { code: 'DATABASE_ERROR', message: cause.message };
  return { code: 'HANDLER_FAILED', message: 'the handler failed' };
}
