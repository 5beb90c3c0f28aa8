import type { JsonValue } from '@concordat/foundation';
import type { BranchIdentity, OnePhaseResult, TwoPhaseWork, VoteResult } from '../runtime/resource-manager.js';
import type { BranchDatabase } from './branch-database.js';
import type { AttemptAtWork, BranchAttempts, WorkProtocol } from './session/branch-attempts.js';
import { BRANCH_ABORTED } from './session/branch-failure.js';
import type { LedgerRow } from './statements/rows.js';
import { SQL_STATE, sqlStateOf } from './statements/sql-state.js';

export interface TwoPhasePorts {
  readonly database: BranchDatabase;
  readonly attempts: BranchAttempts;
}

/**
 * `prepare` in two phases, and `commitOnePhase` (protocol sections 4.7 and 5): the prepared transaction is the vote.
 * Every failure around `PREPARE` is resolved by reading on another connection, never by guessing.
 */
export class TwoPhase {
  constructor(private readonly ports: TwoPhasePorts) {}

  async prepare(branch: TwoPhaseWork, work: AttemptAtWork): Promise<VoteResult | 'busy'> {
    return this.run(branch, work, {
      closing: 'prepare',
      durable: votedYes,
      readOnly: (results) => ({ vote: 'read-only', results }),
      earlier: () => this.earlierVote(branch),
      // The gid is in use by our own earlier attempt, and the work of this one is gone.
      mayBeEarlier: (cause) => sqlStateOf(cause) === SQL_STATE.duplicateObject,
      refuse: async (error) => {
        const { ledger } = await this.ports.database.settle(branch, error);
        return ledger ? voteOf(ledger) : votedYes([]);
      },
    });
  }

  async commitOnePhase(branch: TwoPhaseWork, work: AttemptAtWork): Promise<OnePhaseResult | 'busy'> {
    return this.run(branch, work, {
      closing: 'commit',
      durable: (results) => ({ end: 'committed', results }),
      readOnly: (results) => ({ end: 'read-only', results }),
      earlier: () => this.earlierEnd(branch),
      mayBeEarlier: () => false,
      refuse: async (error) => {
        const { ledger } = await this.ports.database.settle(branch, error);
        return ledger ? conclusionOf(ledger) : this.commitEnlisted(branch);
      },
    });
  }

  private async run<Answer>(
    branch: TwoPhaseWork,
    work: AttemptAtWork,
    protocol: WorkProtocol<Answer>,
  ): Promise<Answer | 'busy'> {
    const earlier = branch.preparedByService ? await protocol.earlier() : undefined;
    return earlier ?? this.ports.attempts.run(branch, work, protocol);
  }

  private async earlierVote(branch: BranchIdentity): Promise<VoteResult | undefined> {
    const { prepared, ledger } = await this.ports.database.look(branch);
    if (prepared) return votedYes([]);
    return ledger && voteOf(ledger);
  }

  private async earlierEnd(branch: BranchIdentity): Promise<OnePhaseResult | undefined> {
    const { prepared, ledger } = await this.ports.database.look(branch);
    if (prepared) return this.commitEnlisted(branch);
    return ledger && conclusionOf(ledger);
  }

  /** Commits a delegated branch that its service had prepared. */
  private async commitEnlisted(branch: BranchIdentity): Promise<OnePhaseResult> {
    const end = await this.ports.database.commit(branch);
    return { end, results: [] };
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
