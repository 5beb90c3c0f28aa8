import type { PoolClient } from 'pg';
import { guarded, type JsonValue } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { BranchWork, HeldSession, VoteResult } from '../../runtime/resource-manager.js';
import { classifyFailure } from '../statements/failure-classes.js';
import type { BranchSession, WorkAttempt } from './branch-session.js';
import type { PostgresContext } from './context.js';

export interface PostgresHeldSessionPorts {
  /** drains and prepares; called at most once, and not after `close` */
  finish(results: readonly JsonValue[]): Promise<WorkAttempt>;
  /** votes by the protocol of the branch; `attempt` makes the one attempt at its work */
  vote(branch: BranchWork, attempt: () => Promise<WorkAttempt>): Promise<VoteResult | 'busy'>;
  /** gives the connection back; called once, when the session has ended */
  release(): Promise<void>;
}

/**
 * A branch's transaction that stays open between calls. States: open → voting → ended, or open → ended. The connection
 * is given back when the session has ended, however it ends.
 */
export class PostgresHeldSession implements HeldSession<PostgresContext> {
  readonly context: PostgresContext;
  readonly lost: Promise<BranchError>;
  private readonly onError: (error: Error) => void;
  private finishing: Promise<WorkAttempt> | undefined;
  private ending: Promise<void> | undefined;

  constructor(
    private readonly client: PoolClient,
    private readonly session: BranchSession,
    private readonly ports: PostgresHeldSessionPorts,
  ) {
    this.context = session.context;
    let tell: (reason: BranchError) => void = () => undefined;
    this.lost = new Promise((resolve) => (tell = resolve));
    const onLoss = (error: Error): void => {
      session.lost(error);
      tell(classifyFailure(error).refusal);
    };
    const guardedLoss = guarded(onLoss, () => tell(classifyFailure(undefined).refusal));
    this.onError = guardedLoss;
    client.on('error', guardedLoss);
    session.opened.catch((error: unknown) => tell(classifyFailure(error).refusal));
  }

  async prepare(branch: BranchWork, results: readonly JsonValue[]): Promise<VoteResult | 'busy'> {
    try {
      return await this.ports.vote(branch, () => (this.finishing = this.ports.finish(results)));
    } finally {
      await this.close(); // where the protocol had an answer without the work
    }
  }

  async refuse(branch: BranchWork, error: BranchError): Promise<VoteResult | 'busy'> {
    await this.close();
    return this.ports.vote(branch, async () => ({ type: 'failed', error, cause: error }));
  }

  close(): Promise<void> {
    return (this.ending ??= this.end());
  }

  private async end(): Promise<void> {
    try {
      if (this.finishing) await this.endFinishing(this.finishing);
      else await this.session.discard();
    } finally {
      this.client.off('error', this.onError);
      await this.ports.release();
    }
  }

  /** Statements that are still running are not waited for; a PREPARE that was sent is. */
  private async endFinishing(finishing: Promise<WorkAttempt>): Promise<void> {
    if (this.session.isDraining) this.session.abandon();
    await finishing.catch(() => undefined); // the caller that asked for the vote gets the error
  }
}
