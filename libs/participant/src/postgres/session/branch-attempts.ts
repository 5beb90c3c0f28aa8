import type { PoolClient } from 'pg';
import { errorMessage, unreachable, type Clock, type JsonValue, type Logger } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import { BranchOccupiedError, ResourceManagerUnavailableError } from '../../runtime/errors.js';
import type { OperationBranch } from '../../runtime/participant-runtime.types.js';
import type { BranchIdentity, BranchWork, HeldWork } from '../../runtime/resource-manager.js';
import { timeLeftMs, type TimeLimit } from '../../runtime/time-left.js';
import { DEFAULT_ANSWER_TIMEOUT_MS, type PostgresPools } from '../connections/pools.js';
import type { HandlerLibraries } from '../joining/handler-libraries.js';
import type { PostgresResourceManagerSettings } from '../settings.js';
import type { BranchStatements } from '../statements/branch-statements.js';
import { describeFailure, type SessionFate } from '../statements/failure-classes.js';
import { BRANCH_OCCUPIED, sqlStateOf } from '../statements/sql-state.js';
import { DEADLINE_EXCEEDED } from './branch-failure.js';
import {
  BranchSession,
  type AttemptLimits,
  type BranchSessionPorts,
  type Closing,
  type WorkAttempt,
} from './branch-session.js';
import type { Work } from './context.js';
import { PostgresHeldSession, type PostgresHeldSessionPorts } from './held-session.js';

const DEFAULT_LOCK_TIMEOUT_MS = 10_000;
const DEFAULT_GRACE_MS = 1_000;
/** The server's timeouts are 32-bit. */
const MAXIMUM_TIMEOUT_MS = 2_147_483_647;

/** How a protocol answers each result of the work. */
export interface WorkProtocol<Answer> {
  readonly closing: Closing;
  /** the work is prepared, or committed with its ledger row */
  durable(results: readonly JsonValue[]): Answer | Promise<Answer>;
  /** nothing was written */
  readOnly(results: readonly JsonValue[]): Answer | Promise<Answer>;
  /** the answer from an earlier attempt's state in the database; undefined for none */
  earlier(): Promise<Answer | undefined>;
  /** whether the failure may come from an earlier attempt, so that `earlier` is called before a refusal */
  mayBeEarlier(cause: unknown): boolean;
  /** resolves only when the database rejects every late prepare of the branch */
  refuse(error: BranchError): Promise<Answer>;
}

/** Makes one attempt at the work of a branch and closes it so. */
export type AttemptAtWork = (closing: Closing) => Promise<WorkAttempt>;

export interface BranchAttemptsPorts {
  readonly settings: PostgresResourceManagerSettings;
  readonly pools: PostgresPools;
  readonly statements: BranchStatements;
  readonly libraries: HandlerLibraries;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes attempts at the work of branches, in one call or held between calls, and asks the protocol for the answer. */
export class BranchAttempts {
  constructor(private readonly ports: BranchAttemptsPorts) {}

  /** `busy`: another session is working on the branch. @throws ResourceManagerUnavailableError when no work was done */
  async run<Answer>(branch: BranchWork, work: AttemptAtWork, protocol: WorkProtocol<Answer>): Promise<Answer | 'busy'> {
    if (timeLeftMs(branch, this.ports.clock) <= 0) return protocol.refuse(DEADLINE_EXCEEDED);
    const attempt = await work(protocol.closing);
    switch (attempt.type) {
      case 'durable':
        return protocol.durable(attempt.results);
      case 'read-only':
        return protocol.readOnly(attempt.results);
      case 'occupied':
        return (await protocol.earlier()) ?? 'busy';
      case 'failed': {
        const earlier = protocol.mayBeEarlier(attempt.cause) ? await protocol.earlier() : undefined;
        return earlier ?? protocol.refuse(attempt.error);
      }
      default:
        return unreachable(attempt, 'attempt');
    }
  }

  /** Work in one call, in a session of its own. */
  async attempt(branch: BranchWork, closing: Closing, work: Work): Promise<WorkAttempt> {
    const { pools } = this.ports;
    const limits = this.limitsOf(branch);
    const client = await pools.connect('work');
    const session = this.sessionOf(client, branch);
    let fate: SessionFate = 'dead';
    try {
      const attempt = await session.run(limits, closing, work);
      this.logRefusal(branch, attempt);
      fate = session.fate;
      return attempt;
    } catch (cause) {
      // Only the opening statements fail here: no work was done, so there is nothing to vote on yet.
      throw unopened(cause);
    } finally {
      await this.release(client, session, branch, fate);
    }
  }

  /**
   * Opens a session for a branch that is held between calls.
   *
   * @param vote votes by the protocol of the branch, on the attempt that it is given
   * @throws ResourceManagerUnavailableError when it could not begin
   * @throws BranchOccupiedError when the branch is at work, prepared or ended
   */
  async hold(branch: HeldWork, vote: PostgresHeldSessionPorts['vote']): Promise<PostgresHeldSession> {
    const { clock, pools, statements, logger } = this.ports;
    const client = await pools.connect('work');
    const session = this.sessionOf(client, branch);
    try {
      await session.open(this.limitsOf(branch), branch.isNew ?? false);
    } catch (cause) {
      await this.release(client, session, branch, session.fate);
      throw sqlStateOf(cause) === BRANCH_OCCUPIED ? new BranchOccupiedError(branch.branchId) : unopened(cause);
    }
    session.watchSelfBlocks(logger, (processId) =>
      pools.with('look', (other) => statements.endSelfBlock(other, branch, processId)),
    );
    return new PostgresHeldSession(client, session, {
      vote,
      finish: async (results) => {
        const attempt = await session.finish('prepare', Math.max(1, timeLeftMs(branch, clock)), results);
        this.logRefusal(branch, attempt);
        if (session.wasAbandoned) await this.endSessionOf(branch);
        return attempt;
      },
      release: () => this.release(client, session, branch, session.fate),
    });
  }

  private sessionOf(client: PoolClient, { transactionId, branchId, deadline }: OperationBranch): BranchSession {
    return new BranchSession(client, { transactionId, branchId, deadline }, this.sessionPorts());
  }

  private limitsOf(limit: TimeLimit): AttemptLimits {
    const { clock, settings } = this.ports;
    const remainingMs = Math.max(1, Math.min(MAXIMUM_TIMEOUT_MS, Math.floor(timeLeftMs(limit, clock))));
    const lockTimeoutMs = Math.min(remainingMs, settings.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS);
    const handlersMs = Math.min(MAXIMUM_TIMEOUT_MS, remainingMs + (settings.handlerGraceMs ?? DEFAULT_GRACE_MS));
    return { lockTimeoutMs, statementTimeoutMs: remainingMs, handlersMs };
  }

  private async release(
    client: PoolClient,
    session: BranchSession,
    branch: BranchIdentity,
    fate: SessionFate,
  ): Promise<void> {
    const { pools } = this.ports;
    if (session.sawSchemaChange) pools.renew('work');
    pools.release(client, fate);
    this.logLeftBehind(branch, session);
    if (session.wasAbandoned) await this.endSessionOf(branch);
  }

  private sessionPorts(): BranchSessionPorts {
    const { clock, statements, libraries, settings } = this.ports;
    const { answerTimeoutMs = DEFAULT_ANSWER_TIMEOUT_MS } = settings;
    return { clock, statements, libraries, answerTimeoutMs };
  }

  /** Its socket is closed, but a server that runs a statement notices late, and behind a dead line never. */
  private async endSessionOf(branch: BranchIdentity): Promise<void> {
    const { pools, statements, logger } = this.ports;
    try {
      await pools.with('look', (client) => statements.endSessionOf(client, branch));
    } catch (error) {
      const which = `branch ${branch.branchId} of transaction ${branch.transactionId}`;
      logger.debug(`the session of ${which} goes on until the server notices: ${errorMessage(error)}`);
    }
  }

  private logLeftBehind({ branchId, transactionId }: BranchIdentity, { leftBehind }: BranchSession): void {
    if (leftBehind === undefined) return;
    this.ports.logger.warn(
      `the handlers of branch ${branchId} of transaction ${transactionId} left ${leftBehind} behind in their session: the ` +
        'session was closed, because no other branch may see it; each new connection costs some milliseconds',
    );
  }

  private logRefusal({ branchId, transactionId }: BranchIdentity, attempt: WorkAttempt): void {
    if (attempt.type !== 'failed') return;
    const { error, cause } = attempt;
    const line = `branch ${branchId} of transaction ${transactionId} is refused with ${error.code}: ${describeFailure(cause)}`;
    if (error.code === 'HANDLER_FAILED' || error.code === 'DATABASE_ERROR') this.ports.logger.error(line, cause);
    else this.ports.logger.debug(line);
  }
}

function unopened(cause: unknown): ResourceManagerUnavailableError {
  return new ResourceManagerUnavailableError(`the branch could not begin: ${describeFailure(cause)}`, { cause });
}
