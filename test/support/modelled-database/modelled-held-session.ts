import type { JsonValue } from '@concordat/foundation';
import type { BranchError } from '@concordat/commit-protocol';
import type { BranchWork, HeldSession, VoteResult } from '@concordat/participant';
import type { DatabaseSession } from './database-session.js';

/** How one attempt at the work of a branch ended. */
export type Attempt =
  | { readonly type: 'durable' | 'read-only'; readonly results: readonly JsonValue[] }
  | { readonly type: 'occupied' }
  | { readonly type: 'failed'; readonly error: BranchError };

interface HeldSessionPorts {
  /** prepares what the session has done; it has ended then */
  finish(branch: BranchWork, results: readonly JsonValue[]): Promise<Attempt>;
  /** votes by the protocol of the branch */
  vote(branch: BranchWork, attempt: () => Promise<Attempt>): Promise<VoteResult | 'busy'>;
}

/** A session that is held between calls, on the modelled database. */
export class ModelledHeldSession implements HeldSession<DatabaseSession> {
  readonly lost: Promise<BranchError>;

  constructor(
    readonly context: DatabaseSession,
    private readonly ports: HeldSessionPorts,
  ) {
    const reason: BranchError = { code: 'DATABASE_CONNECTION_LOST', message: 'the connection is lost' };
    this.lost = context.ended.then(() => reason);
  }

  async prepare(branch: BranchWork, results: readonly JsonValue[]): Promise<VoteResult | 'busy'> {
    try {
      return await this.ports.vote(branch, () => this.ports.finish(branch, results));
    } finally {
      await this.close();
    }
  }

  async refuse(branch: BranchWork, error: BranchError): Promise<VoteResult | 'busy'> {
    await this.close();
    return this.ports.vote(branch, async () => ({ type: 'failed', error }));
  }

  async close(): Promise<void> {
    this.context.break();
  }
}
