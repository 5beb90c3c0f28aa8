import { invariant, unreachable } from '@concordat/foundation';
import { BranchAbstainsError } from '../runtime/errors.js';
import type { BranchIdentity, ThreePhaseWork, VoteResult } from '../runtime/resource-manager.js';
import type { BranchDatabase } from './branch-database.js';
import type { PostgresAcceptor } from './postgres-acceptor.js';
import type { AttemptAtWork, BranchAttempts } from './session/branch-attempts.js';
import { BRANCH_ABORTED } from './session/branch-failure.js';
import { isAcceptorList } from './statements/acceptor-row.js';
import type { AcceptorRow, CastVote } from './statements/rows.js';

export interface ThreePhasePorts {
  readonly database: BranchDatabase;
  readonly attempts: BranchAttempts;
  readonly acceptor: PostgresAcceptor;
  /** whether the database may have lost an earlier vote, without asking it */
  mayAbstain(branch: BranchIdentity): boolean;
}

/**
 * `prepare` in three phases (protocol section 6): the work is prepared as in two phases, then the vote is recorded, and
 * only a recorded vote is sent; `no` too. Of two processes at one branch, or of a prepare and a ballot that aborts a
 * branch without a vote, one comes first; the other undoes its work.
 */
export class ThreePhase {
  constructor(private readonly ports: ThreePhasePorts) {}

  async prepare(branch: ThreePhaseWork, work: AttemptAtWork): Promise<VoteResult | 'busy'> {
    invariant(isAcceptorList(branch.acceptors, branch.branchId), 'a branch in three phases is one of its acceptors');
    // A repeat meets the branch's lock, its ledger row, or the recorded vote. If another process has just found that
    // the database changed, the vote fails, too.
    const isCertain = branch.isFirstSending && !this.ports.mayAbstain(branch);
    const earlier = isCertain ? undefined : await this.earlierVote(branch);
    if (earlier) return earlier;
    if (branch.enlistedVote === 'read-only') return this.cast(branch, { vote: 'read-only', results: [] });
    return this.ports.attempts.run(branch, work, {
      closing: 'prepare',
      durable: (results) => this.cast(branch, { vote: 'yes', results }),
      readOnly: (results) => this.cast(branch, { vote: 'read-only', results }),
      earlier: () => this.earlierVote(branch),
      // Whatever failed around PREPARE: if the branch is prepared, it can vote yes.
      mayBeEarlier: () => true,
      refuse: (error) => this.cast(branch, { vote: 'no', error }),
    });
  }

  /** The vote in the database, or the one possible without work; undefined when there is no trace of the branch. */
  private async earlierVote(branch: ThreePhaseWork): Promise<VoteResult | undefined> {
    const { acceptor, abstains, prepared, ledger } = await this.ports.database.lookAtAcceptor(branch);
    if (abstains) throw new BranchAbstainsError(branch.branchId);
    if (acceptor) return this.give(branch, acceptor, prepared);
    // Its participant died before the vote was recorded, or its service has prepared it.
    if (prepared) return this.cast(branch, { vote: 'yes', results: [] });
    if (ledger?.outcome === 'committed') return this.cast(branch, { vote: 'yes', results: ledger.results });
    return ledger && { vote: 'no', results: [], error: ledger.error ?? BRANCH_ABORTED };
  }

  /** Records the vote and gives the one that stands then. */
  private async cast(branch: ThreePhaseWork, vote: CastVote): Promise<VoteResult> {
    const row = await this.ports.acceptor.recordVote(branch, branch.acceptors, vote);
    const given = await this.give(branch, row, vote.vote === 'yes');
    // The prepared work is this one, even if another process has recorded the vote.
    const isOwnWork = vote.vote === 'yes' && given.vote === 'yes' && vote.results.length > 0;
    return isOwnWork ? { ...given, results: vote.results } : given;
  }

  /** @param mayBePrepared whether the branch may be prepared */
  private async give(branch: BranchIdentity, row: AcceptorRow, mayBePrepared: boolean): Promise<VoteResult> {
    const { vote, results, error } = row;
    switch (vote) {
      case 'yes':
        return { vote, results };
      case 'read-only':
        // An earlier run voted and wrote nothing: what this one wrote was never voted on.
        if (mayBePrepared) await this.ports.database.discard(branch);
        return { vote, results };
      case 'no':
        await this.ports.database.rollBack(branch, { error });
        return { vote, results: [], error: error ?? BRANCH_ABORTED };
      default:
        return unreachable(vote, 'vote');
    }
  }
}
