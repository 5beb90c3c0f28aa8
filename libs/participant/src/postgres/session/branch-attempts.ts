import { errorMessage, unreachable, type Clock, type JsonValue, type Logger } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import { ResourceManagerUnavailableError } from '../../runtime/errors.js';
import type { BranchIdentity, BranchWork } from '../../runtime/resource-manager.js';
import { timeLeftMs } from '../../runtime/time-left.js';
import { DEFAULT_ANSWER_TIMEOUT_MS, type PostgresPools } from '../connections/pools.js';
import type { PostgresResourceManagerSettings } from '../settings.js';
import type { BranchStatements } from '../statements/branch-statements.js';
import { describeFailure, type SessionFate } from '../statements/failure-classes.js';
import { DEADLINE_EXCEEDED } from './branch-failure.js';
import { BranchSession, type BranchSessionPorts, type Closing, type WorkAttempt } from './branch-session.js';
import type { Work } from './context.js';

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

export interface BranchAttemptsPorts {
  readonly settings: PostgresResourceManagerSettings;
  readonly pools: PostgresPools;
  readonly statements: BranchStatements;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Runs the work of branches, each attempt in a session of its own, and asks the protocol for the answer. */
export class BranchAttempts {
  constructor(private readonly ports: BranchAttemptsPorts) {}

  /** `busy`: another session is working on the branch. @throws ResourceManagerUnavailableError when no work was done */
  async run<Answer>(branch: BranchWork, work: Work, protocol: WorkProtocol<Answer>): Promise<Answer | 'busy'> {
    if (timeLeftMs(branch, this.ports.clock) <= 0) return protocol.refuse(DEADLINE_EXCEEDED);
    const attempt = await this.attempt(branch, protocol.closing, work);
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

  private async attempt(branch: BranchWork, closing: Closing, work: Work): Promise<WorkAttempt> {
    const { clock, pools, settings } = this.ports;
    const remainingMs = Math.max(1, Math.min(MAXIMUM_TIMEOUT_MS, Math.floor(timeLeftMs(branch, clock))));
    const lockTimeoutMs = Math.min(remainingMs, settings.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS);
    const handlersMs = Math.min(MAXIMUM_TIMEOUT_MS, remainingMs + (settings.handlerGraceMs ?? DEFAULT_GRACE_MS));
    const { transactionId, branchId, deadline } = branch;
    const client = await pools.connect('work');
    const session = new BranchSession(client, { transactionId, branchId, deadline }, this.sessionPorts());
    let fate: SessionFate = 'dead';
    try {
      const attempt = await session.run({ lockTimeoutMs, statementTimeoutMs: remainingMs, handlersMs }, closing, work);
      if (attempt.type === 'failed') this.logRefusal(branch, attempt.error, attempt.cause);
      fate = session.fate;
      return attempt;
    } catch (cause) {
      // Only the opening statements fail here: no work was done, so there is nothing to vote on yet.
      throw new ResourceManagerUnavailableError(`the branch could not begin: ${describeFailure(cause)}`, { cause });
    } finally {
      if (session.sawSchemaChange) pools.renew('work');
      pools.release(client, fate);
      this.logLeftBehind(branch, session);
      if (session.wasAbandoned) await this.endSessionOf(branch);
    }
  }

  private sessionPorts(): BranchSessionPorts {
    const { clock, statements, settings } = this.ports;
    const { dataSource, answerTimeoutMs = DEFAULT_ANSWER_TIMEOUT_MS } = settings;
    return { clock, statements, dataSource, answerTimeoutMs };
  }

  /** Its socket is closed, but a server that runs a statement notices late, and behind a dead line never. */
  private async endSessionOf(branch: BranchIdentity): Promise<void> {
    const { pools, statements, logger } = this.ports;
    try {
      await pools.with('look', (client) => statements.endSessionOf(client, branch));
    } catch (error) {
      logger.debug(`the session of branch ${branch.branchId} goes on until the server notices: ${errorMessage(error)}`);
    }
  }

  private logLeftBehind({ branchId }: BranchIdentity, { leftBehind }: BranchSession): void {
    if (leftBehind === undefined) return;
    this.ports.logger.warn(
      `the handlers of branch ${branchId} left ${leftBehind} behind in their session: the session was closed, because no other ` +
        'branch may see it; each new connection costs some milliseconds',
    );
  }

  private logRefusal({ branchId }: BranchIdentity, error: BranchError, cause: unknown): void {
    const line = `branch ${branchId} is refused with ${error.code}: ${describeFailure(cause)}`;
    if (error.code === 'HANDLER_FAILED' || error.code === 'DATABASE_ERROR') this.ports.logger.error(line, cause);
    else this.ports.logger.debug(line);
  }
}
