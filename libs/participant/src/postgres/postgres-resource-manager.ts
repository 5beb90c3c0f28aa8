import {
  SystemRandom,
  backoffMs,
  errorMessage,
  noFailpoints,
  silentLogger,
  unreachable,
  type Clock,
  type Failpoints,
  type JsonValue,
  type Logger,
} from '@concordat/foundation';
import {
  formatGid,
  type Acceptor,
  type BallotAnswer,
  type BallotRequest,
  type BranchError,
  type Decision,
  type OpenedBallot,
} from '@concordat/commit-protocol';
import { ResourceManagerUnavailableError } from '../runtime/errors.js';
import type {
  BranchIdentity,
  BranchWork,
  OnePhaseResult,
  PreparedBranch,
  ResourceManager,
  VoteResult,
} from '../runtime/resource-manager.js';
import { orUnavailable } from './connections/availability.js';
import { BRANCH_ABORTED, DEADLINE_EXCEEDED, describeFailure } from './session/branch-failure.js';
import { BranchSession, type BranchSessionPorts, type Closing, type WorkAttempt } from './session/branch-session.js';
import { DatabaseWatch, type DatabaseChange } from './connections/database-watch.js';
import { DEFAULT_ANSWER_TIMEOUT_MS, PostgresPools, type PoolName } from './connections/pools.js';
import { PostgresAcceptor } from './postgres-acceptor.js';
import { PostgresSetup } from './setup.js';
import { isSessionDead, type SessionFate } from './statements/failure-classes.js';
import { SQL_STATE, sqlStateOf } from './statements/sql-state.js';
import { AcceptorStatements } from './statements/acceptor-statements.js';
import { DatabaseStatements } from './statements/database-statements.js';
import { BranchStatements, type Tombstone } from './statements/branch-statements.js';
import { ThreePhasePrepare } from './three-phase.js';
import type { BranchTrace, LedgerRow, PostgresContext, PostgresResourceManagerSettings } from './types.js';

const DEFAULT_LOCK_TIMEOUT_MS = 10_000;
const DEFAULT_GRACE_MS = 1_000;
/** With a lock timeout of 100 ms in each round about ten seconds; then the truth is left to a later attempt. */
const MAXIMUM_ROUNDS = 100;
const BUSY_BACKOFF = { baseMs: 5, capMs: 100 };
/** Values of the server's timeouts are 32-bit. */
const MAXIMUM_TIMEOUT_MS = 2_147_483_647;

export interface PostgresResourceManagerPorts {
  readonly clock: Clock;
  readonly logger?: Logger;
  /** passed around every statement of the library itself; default: none is ever armed */
  readonly failpoints?: Failpoints;
  /** the database is not the one that it was: it was restored, or has failed over */
  readonly onDatabaseChanged?: (change: DatabaseChange) => void;
}

type Work = (context: PostgresContext) => Promise<readonly JsonValue[]>;

/**
 * Prepared transactions of PostgreSQL behind the `ResourceManager` port (protocol section 5).
 *
 * The ledger row of a branch lies inside its prepared transaction, so it is seen only when the branch was
 * committed, and a tombstone under the same key makes a late `PREPARE` impossible. Whatever goes wrong around
 * `PREPARE` is settled by looking on another connection, never by guessing. States: new → started → closed.
 */
export class PostgresResourceManager implements ResourceManager<PostgresContext> {
  private readonly pools: PostgresPools;
  private readonly watch: DatabaseWatch;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly failpoints: Failpoints;
  private readonly setup: PostgresSetup;
  private readonly random = new SystemRandom();
  private readonly acceptor: PostgresAcceptor;
  private readonly threePhases: ThreePhasePrepare;
  private statements: BranchStatements;

  constructor(
    private readonly settings: PostgresResourceManagerSettings,
    ports: PostgresResourceManagerPorts,
  ) {
    this.clock = ports.clock;
    this.logger = ports.logger ?? silentLogger;
    this.failpoints = ports.failpoints ?? noFailpoints;
    this.setup = new PostgresSetup(settings, this.clock, this.logger);
    this.watch = new DatabaseWatch({
      clock: this.clock,
      logger: this.logger,
      statements: new DatabaseStatements(this.schema),
      onChanged: (change) => {
        this.pools.renewAll();
        ports.onDatabaseChanged?.(change);
      },
    });
    this.pools = new PostgresPools(settings, this.clock, this.logger, (client) => this.watch.onConnected(client));
    this.statements = new BranchStatements(settings.cluster, this.schema, false, this.failpoints);
    this.acceptor = new PostgresAcceptor({
      pools: this.pools,
      statements: new AcceptorStatements(settings.cluster, this.schema, this.failpoints),
      rollBack: (branch) => this.rollBack(branch),
    });
    this.threePhases = new ThreePhasePrepare({
      acceptor: this.acceptor,
      clock: this.clock,
      mayAbstain: (branch) => this.watch.mayAbstain(branch),
      attempt: (branch, work) => this.work(branch, 'prepare', work),
      rollBack: (branch, error) => this.endAborted(branch, { error }),
      discard: (branch) => this.discard(branch),
    });
  }

  /**
   * Waits until the database can be reached, checks it and brings the ledger up to date. Must have resolved
   * before anything else is called.
   *
   * @throws PostgresSetupError when somebody has to change something first
   */
  async start(): Promise<void> {
    const { checksConnection } = await this.setup.run();
    this.statements = new BranchStatements(this.settings.cluster, this.schema, checksConnection, this.failpoints);
    await this.ping(); // a connection is made, so the database is known from the beginning
  }

  /**
   * Of transactions in three phases that began before this nothing is said, because the database may have lost what it
   * had promised; in milliseconds since 1970, 0 for none.
   */
  get abstainsBefore(): number {
    return this.watch.abstainsBefore;
  }

  /** Resolves when the database answers. @throws ResourceManagerUnavailableError */
  async ping(): Promise<void> {
    await this.attempt('look', (statements, client) => statements.ping(client));
  }

  async close(): Promise<void> {
    this.setup.cancel();
    await this.pools.close();
  }

  async prepare(branch: BranchWork, work: Work): Promise<VoteResult | 'busy'> {
    this.watch.heardOf(branch);
    const { acceptors } = branch;
    if (acceptors) return this.threePhases.prepare({ ...branch, acceptors }, work);
    if (branch.preparedByService) {
      const trace = await this.look(branch);
      if (trace.prepared) return votedYes([]);
      if (trace.ledger) return voteOf(trace.ledger);
    }
    if (branch.deadline <= this.clock.now()) return this.settleVote(branch, DEADLINE_EXCEEDED);
    const attempt = await this.work(branch, 'prepare', work);
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
        // The gid is in use: what bears it is our own earlier attempt, and the work of this one is gone.
        if (sqlStateOf(attempt.cause) === SQL_STATE.duplicateObject && (await this.look(branch)).prepared) {
          return votedYes([]);
        }
        return this.settleVote(branch, attempt.error);
      default:
        return unreachable(attempt, 'attempt');
    }
  }

  async commitOnePhase(branch: BranchWork, work: Work): Promise<OnePhaseResult | 'busy'> {
    if (branch.preparedByService) {
      const trace = await this.look(branch);
      if (trace.prepared) return this.commitEnlisted(branch);
      if (trace.ledger) return conclusionOf(trace.ledger);
    }
    if (branch.deadline <= this.clock.now()) return this.settleConclusion(branch, DEADLINE_EXCEEDED);
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
      default:
        return unreachable(attempt, 'attempt');
    }
  }

  async commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      const answer = await this.endPrepared(branch, 'commit');
      if (answer === 'done') return 'committed';
      if (answer === 'missing') {
        const trace = await this.acceptor.look(branch);
        if (trace.ledger?.outcome === 'committed') return 'committed';
        if (!trace.ledger && trace.acceptor?.vote === 'read-only') return 'read-only';
        // Neither prepared nor committed: somebody rolled it back by hand.
        if (!trace.prepared) return 'heuristic-rollback';
      }
      await this.pause(round);
    }
    throw tooManyRounds('commit', branch);
  }

  async abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    return this.endAborted(branch, { isDecided: true });
  }

  async rollBack(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    return this.endAborted(branch, {});
  }

  async answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'> {
    this.watch.heardOf(branch);
    return this.acceptor.answerBallot(branch, request, acceptors);
  }

  async openBallot(branch: BranchIdentity): Promise<OpenedBallot> {
    return this.acceptor.openBallot(branch);
  }

  async recordDecision(branch: BranchIdentity, decision: Decision): Promise<void> {
    await this.acceptor.recordDecision(branch, decision);
  }

  gidOf({ transactionId, branchId }: BranchIdentity): string {
    return formatGid(this.settings.cluster, transactionId, branchId);
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    return this.attempt('look', (statements, client) => statements.listPrepared(client));
  }

  private get schema(): string {
    return this.settings.schema ?? 'public';
  }

  private async work(branch: BranchWork, closing: Closing, work: Work): Promise<WorkAttempt> {
    const remainingMs = Math.max(1, Math.min(MAXIMUM_TIMEOUT_MS, Math.floor(branch.deadline - this.clock.now())));
    const lockTimeoutMs = Math.min(remainingMs, this.settings.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS);
    const handlersMs = Math.min(MAXIMUM_TIMEOUT_MS, remainingMs + (this.settings.handlerGraceMs ?? DEFAULT_GRACE_MS));
    const { transactionId, branchId, deadline } = branch;
    const client = await this.pools.connect('work');
    const session = new BranchSession(client, { transactionId, branchId, deadline }, this.sessionPorts());
    let fate: SessionFate = 'dead';
    try {
      const attempt = await session.run({ lockTimeoutMs, statementTimeoutMs: remainingMs, handlersMs }, closing, work);
      if (attempt.type === 'failed') this.logRefusal(branch, attempt.error, attempt.cause);
      fate = session.fate;
      return attempt;
    } catch (cause) {
      // Only the opening statements get here: no work was done, so there is nothing to vote on yet.
      throw new ResourceManagerUnavailableError(`the branch could not begin: ${describeFailure(cause)}`, { cause });
    } finally {
      if (session.sawSchemaChange) this.pools.renew('work');
      this.pools.giveBack(client, fate);
      this.logLeftBehind(branch, session);
      if (session.wasAbandoned) await this.endSessionOf(branch);
    }
  }

  private sessionPorts(): BranchSessionPorts {
    const { dataSource, answerTimeoutMs = DEFAULT_ANSWER_TIMEOUT_MS } = this.settings;
    return { clock: this.clock, statements: this.statements, dataSource, answerTimeoutMs };
  }

  /** Its socket is closed, which a server that runs a statement may notice late, and one behind a dead line never. */
  private async endSessionOf(branch: BranchIdentity): Promise<void> {
    try {
      await this.attempt('look', (statements, client) => statements.endSessionOf(client, branch));
    } catch (error) {
      this.logger.debug(`the session of branch ${branch.branchId} goes on until it is noticed: ${errorMessage(error)}`);
    }
  }

  /**
   * After a failure the truth is in the database: prepared, recorded, or nothing - and then a tombstone makes
   * sure that it stays nothing before anybody hears `no`.
   */
  private async settle(branch: BranchIdentity, error: BranchError): Promise<BranchTrace> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      const trace = (await this.tryTombstone('look', branch, { error })) ?? (await this.look(branch));
      if (trace.prepared || trace.ledger) return trace;
      await this.pause(round); // our own lost session still holds the key, and goes on or dies
    }
    throw tooManyRounds('settle', branch);
  }

  private async settleVote(branch: BranchIdentity, error: BranchError): Promise<VoteResult> {
    const trace = await this.settle(branch, error);
    return trace.ledger ? voteOf(trace.ledger) : votedYes([]);
  }

  private async settleConclusion(branch: BranchIdentity, error: BranchError): Promise<OnePhaseResult> {
    const trace = await this.settle(branch, error);
    return trace.ledger ? conclusionOf(trace.ledger) : this.commitEnlisted(branch);
  }

  /** The commit of a branch that its service had prepared before was delegated to it. */
  private async commitEnlisted(branch: BranchIdentity): Promise<OnePhaseResult> {
    const end = await this.commit(branch);
    return { end, results: [] };
  }

  private async endAborted(branch: BranchIdentity, tombstone: Tombstone): Promise<'aborted' | 'heuristic-commit'> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      if ((await this.endPrepared(branch, 'abort')) !== 'busy') {
        const trace = await this.tryTombstone('ruling', branch, tombstone);
        if (trace?.ledger?.outcome === 'committed') return 'heuristic-commit';
        if (trace?.ledger && !trace.prepared) return 'aborted';
        // No trace: a late PREPARE holds the same key. It is prepared by now, or soon, or gone: begin again.
      }
      await this.pause(round);
    }
    throw tooManyRounds('abort', branch);
  }

  /** Takes back what is prepared, without a tombstone. */
  private async discard(branch: BranchIdentity): Promise<void> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      if ((await this.endPrepared(branch, 'abort')) !== 'busy') return;
      await this.pause(round);
    }
    throw tooManyRounds('discarding', branch);
  }

  private async endPrepared(
    branch: BranchIdentity,
    decision: 'commit' | 'abort',
  ): Promise<'done' | 'missing' | 'busy'> {
    return orUnavailable(async () => {
      try {
        await this.pools.lanes.run((client) =>
          decision === 'commit'
            ? this.statements.commitPrepared(client, branch)
            : this.statements.rollbackPrepared(client, branch),
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
    return this.attempt(pool, async (statements, client) => {
      try {
        const trace = await statements.insertTombstone(client, branch, tombstone);
        if (trace.prepared) await statements.confirm(client);
        return trace;
      } catch (failure) {
        if (isSessionDead(failure)) throw failure;
        await statements.rollback(client);
        if (sqlStateOf(failure) === SQL_STATE.lockNotAvailable) return undefined;
        throw failure;
      }
    });
  }

  /** What the database knows of a branch, as durable as if it had been committed here. */
  private async look(branch: BranchIdentity): Promise<BranchTrace> {
    return this.attempt('look', async (statements, client) => {
      const trace = await statements.look(client, branch);
      if (trace.prepared || trace.ledger) await statements.confirm(client);
      return trace;
    });
  }

  /** One use of a connection. */
  private async attempt<T>(
    pool: PoolName,
    use: (statements: BranchStatements, client: Parameters<BranchStatements['ping']>[0]) => Promise<T>,
  ): Promise<T> {
    return orUnavailable(() => this.pools.with(pool, (client) => use(this.statements, client)));
  }

  private async pause(round: number): Promise<void> {
    const delayMs = backoffMs(round, BUSY_BACKOFF, this.random);
    await new Promise<void>((resolve) => void this.clock.setTimer(delayMs, resolve));
  }

  private logLeftBehind({ branchId }: BranchIdentity, { leftBehind }: BranchSession): void {
    if (leftBehind === undefined) return;
    this.logger.warn(
      `the handlers of branch ${branchId} left ${leftBehind} behind in their session: it was closed, for no other ` +
        'branch may see that, and each new connection costs some milliseconds',
    );
  }

  private logRefusal({ branchId }: BranchIdentity, error: BranchError, cause: unknown): void {
    const line = `branch ${branchId} is refused with ${error.code}: ${describeFailure(cause)}`;
    if (error.code === 'HANDLER_FAILED' || error.code === 'DATABASE_ERROR') this.logger.error(line, cause);
    else this.logger.debug(line);
  }
}

function votedYes(results: readonly JsonValue[]): VoteResult {
  return { vote: 'yes', results };
}

function voteOf(ledger: LedgerRow): VoteResult {
  if (ledger.outcome === 'committed') return votedYes(ledger.results);
  return { vote: 'no', results: [], error: ledger.error ?? BRANCH_ABORTED };
}

function conclusionOf(ledger: LedgerRow): OnePhaseResult {
  if (ledger.outcome === 'committed') return { end: 'committed', results: ledger.results };
  return { end: 'aborted', results: [], error: ledger.error ?? BRANCH_ABORTED };
}

function tooManyRounds(what: string, { branchId }: BranchIdentity): ResourceManagerUnavailableError {
  return new ResourceManagerUnavailableError(
    `${what} of branch ${branchId} did not come to an end in ${MAXIMUM_ROUNDS} rounds; it will be repeated`,
  );
}
