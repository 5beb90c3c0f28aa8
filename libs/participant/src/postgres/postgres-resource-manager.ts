import { noFailpoints, silentLogger, type Clock, type Failpoints, type Logger } from '@concordat/foundation';
import {
  formatGid,
  type Acceptor,
  type BallotAnswer,
  type BallotRequest,
  type Decision,
  type OpenedBallot,
} from '@concordat/commit-protocol';
import type {
  BranchIdentity,
  BranchWork,
  HeldSession,
  HeldWork,
  OnePhaseResult,
  PreparedBranch,
  ResourceManager,
  TwoPhaseWork,
  VoteResult,
} from '../runtime/resource-manager.js';
import { BranchDatabase } from './branch-database.js';
import { DatabaseWatch, type DatabaseChange } from './connections/database-watch.js';
import { PostgresPools } from './connections/pools.js';
import { HandlerLibraries } from './joining/handler-libraries.js';
import type { CurrentWork } from './joining/joinable-work.js';
import { PostgresAcceptor } from './postgres-acceptor.js';
import { BranchAttempts, type AttemptAtWork } from './session/branch-attempts.js';
import type { PostgresContext, Work } from './session/context.js';
import type { PostgresResourceManagerSettings } from './settings.js';
import { PostgresSetup, type SetupLimits } from './setup.js';
import { AcceptorStatements } from './statements/acceptor-statements.js';
import { BranchStatements } from './statements/branch-statements.js';
import { DatabaseStatements } from './statements/database-statements.js';
import { ThreePhase } from './three-phase.js';
import { TwoPhase } from './two-phase.js';

export interface PostgresResourceManagerPorts {
  readonly clock: Clock;
  readonly logger?: Logger;
  /** around every statement of the library; default: none */
  readonly failpoints?: Failpoints;
  /** the database was replaced: restored from a backup, or failed over */
  readonly onDatabaseChanged?: (change: DatabaseChange) => void;
  /** those of the runtime, for the checks at the start; default: its defaults */
  readonly limits?: SetupLimits;
}

/**
 * Prepared transactions of PostgreSQL behind the `ResourceManager` port (protocol section 5). States: new → started →
 * closed.
 */
export class PostgresResourceManager implements ResourceManager<PostgresContext> {
  private readonly setup: PostgresSetup;
  private readonly watch: DatabaseWatch;
  private readonly pools: PostgresPools;
  private readonly branchStatements: BranchStatements;
  private readonly database: BranchDatabase;
  private readonly acceptor: PostgresAcceptor;
  private readonly attempts: BranchAttempts;
  private readonly libraries: HandlerLibraries;
  private readonly twoPhase: TwoPhase;
  private readonly threePhase: ThreePhase;
  private allowedPrepared: number | undefined;

  constructor(
    private readonly settings: PostgresResourceManagerSettings,
    {
      clock,
      logger = silentLogger,
      failpoints = noFailpoints,
      onDatabaseChanged,
      limits,
    }: PostgresResourceManagerPorts,
  ) {
    const { cluster, schema = 'public' } = settings;
    this.setup = new PostgresSetup(settings, clock, logger, limits);
    this.watch = new DatabaseWatch({
      clock,
      logger,
      statements: new DatabaseStatements(schema),
      onChanged: (change) => {
        this.pools.renewAll();
        onDatabaseChanged?.(change);
      },
    });
    const pools = new PostgresPools(settings, clock, logger, (client) => this.watch.onConnected(client));
    const branchStatements = new BranchStatements(cluster, schema, failpoints);
    const acceptorStatements = new AcceptorStatements(cluster, schema, failpoints);
    const database = new BranchDatabase({ pools, branchStatements, acceptorStatements, clock });
    const libraries = new HandlerLibraries(settings.dataSource);
    const attempts = new BranchAttempts({ settings, pools, statements: branchStatements, libraries, clock, logger });
    const acceptor = new PostgresAcceptor({ database, statements: acceptorStatements });
    const mayAbstain = (branch: BranchIdentity): boolean => this.watch.mayAbstain(branch);
    this.twoPhase = new TwoPhase({ database, attempts });
    this.threePhase = new ThreePhase({ database, attempts, acceptor, mayAbstain });
    this.pools = pools;
    this.branchStatements = branchStatements;
    this.database = database;
    this.acceptor = acceptor;
    this.attempts = attempts;
    this.libraries = libraries;
  }

  /**
   * Waits until the database can be reached, checks it and migrates the ledger. Must have resolved before any other
   * call.
   *
   * @throws PostgresSetupError when somebody must change something first
   */
  async start(): Promise<void> {
    const { checksConnection, maximumPrepared } = await this.setup.run();
    this.branchStatements.checksConnection = checksConnection;
    this.allowedPrepared = maximumPrepared;
    await this.ping(); // makes a connection, so the database is identified from the start
  }

  /**
   * The branch abstains in three-phase transactions that began before this, because the database may have lost
   * promises; in milliseconds since 1970, 0 for none.
   */
  get abstainsBefore(): number {
    return this.watch.abstainsBefore;
  }

  /** The server and the database on it; the same for all processes that use it. */
  get databaseName(): string | undefined {
    return this.watch.databaseName;
  }

  /** `max_prepared_transactions`, as of the start */
  get maximumPrepared(): number | undefined {
    return this.allowedPrepared;
  }

  /** Resolves when the database answers. @throws ResourceManagerUnavailableError */
  async ping(): Promise<void> {
    await this.database.ping();
  }

  /** For pools that handlers use beside `context`: see `joinPool`. */
  readonly currentWork: CurrentWork = () => this.libraries.current();

  async close(): Promise<void> {
    this.setup.cancel();
    this.libraries.close();
    await this.pools.close();
  }

  async prepare(branch: BranchWork, work: Work): Promise<VoteResult | 'busy'> {
    return this.vote(branch, (closing) => this.attempts.attempt(branch, closing, work));
  }

  async hold(branch: HeldWork): Promise<HeldSession<PostgresContext>> {
    return this.attempts.hold(branch, (prepared, attempt) => this.vote(prepared, attempt));
  }

  async commitOnePhase(branch: TwoPhaseWork, work: Work): Promise<OnePhaseResult | 'busy'> {
    return this.twoPhase.commitOnePhase(branch, (closing) => this.attempts.attempt(branch, closing, work));
  }

  async commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'> {
    return this.database.commit(branch);
  }

  async abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    return this.database.rollBack(branch, { isDecided: true });
  }

  async rollBack(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    return this.database.rollBack(branch);
  }

  async answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'> {
    this.watch.noteTransaction(branch);
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

  async endSession(branch: BranchIdentity): Promise<void> {
    await this.database.endSession(branch);
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    return this.database.listPrepared();
  }

  private async vote(branch: BranchWork, attempt: AttemptAtWork): Promise<VoteResult | 'busy'> {
    this.watch.noteTransaction(branch);
    return branch.protocol === '3pc'
      ? this.threePhase.prepare(branch, attempt)
      : this.twoPhase.prepare(branch, attempt);
  }
}
