import { invariant } from '@concordat/foundation';
import { isDissent } from './acceptor.js';
import {
  compareBallots,
  majorityOf,
  type AcceptedValue,
  type Acceptor,
  type Ballot,
  type BallotAnswer,
  type BallotRequest,
} from './ballot.js';
import { isLegitimateAnswer } from './ballot-legitimacy.js';
import type { BranchId, Decision } from '../vocabulary/types.js';

export type BallotOutcome =
  | { readonly type: 'open' }
  | { readonly type: 'decided'; readonly decision: Decision }
  /** a higher ballot exists: this one is over, and the next must be above `by` */
  | { readonly type: 'outbid'; readonly by: Ballot };

/**
 * One ballot of a proposer: it asks for promises, then for the acceptance of a value; a majority of each decides
 * (protocol section 6; "Paxos Made Simple", section 2.2).
 *
 *     promising --majority--> accepting --majority--> decided;  any --a decision is known--> decided
 *     any --a higher ballot was promised--> outbid
 *
 * The value is that of the highest accepted ballot among the promises, and abort if none has accepted: then no lower
 * ballot can have decided commit. Ballot 0 needs no promises, because there is no lower one.
 */
export class BallotProposer {
  private readonly promises = new Map<BranchId, AcceptedValue | undefined>();
  private readonly isEveryVoteKnown: boolean;
  private readonly acceptances = new Set<BranchId>();
  /** branches without a vote */
  private readonly dissenters = new Set<BranchId>();
  private readonly committed = new Set<BranchId>();
  private isCommitAccepted = false;
  private value: Decision | undefined;
  private result: BallotOutcome = { type: 'open' };

  /**
   * @param value for a ballot that needs no promises
   * @param isEveryVoteKnown the proposer knows that every branch voted yes or read-only, so a branch without a vote
   *   lost it
   */
  constructor(
    readonly ballot: Ballot,
    private readonly acceptors: readonly Acceptor[],
    { value, isEveryVoteKnown = false }: { readonly value?: Decision; readonly isEveryVoteKnown?: boolean } = {},
  ) {
    invariant(value === undefined || ballot.round === 0, 'only the first ballot needs no promises');
    this.value = value;
    this.isEveryVoteKnown = isEveryVoteKnown;
  }

  get outcome(): BallotOutcome {
    return this.result;
  }

  /**
   * Branches that have no vote, although every branch has voted, or a commit was accepted, which needed every vote:
   * their databases lost it.
   */
  get amnesiacs(): readonly Acceptor[] {
    if (!this.isEveryVoteKnown && !this.isCommitAccepted) return [];
    return this.acceptors.filter(({ branchId }) => this.dissenters.has(branchId));
  }

  hasAccepted(branchId: BranchId): boolean {
    return this.acceptances.has(branchId);
  }

  /** The requests that are still unanswered; none once the outcome is known. */
  requests(): { readonly to: Acceptor; readonly request: BallotRequest }[] {
    if (this.result.type !== 'open') return [];
    const { ballot, value } = this;
    const answered = value === undefined ? this.promises : this.acceptances;
    const request: BallotRequest =
      value === undefined ? { type: 'promise', ballot } : { type: 'accept', ballot, value };
    return this.acceptors.filter(({ branchId }) => !answered.has(branchId)).map((to) => ({ to, request }));
  }

  /**
   * Handles an answer. Ignores answers of unknown branches, of other ballots, impossible and repeated ones; a late one
   * still counts as evidence of amnesia.
   * @returns whether there are new requests, or the outcome is known now
   */
  onAnswer(from: BranchId, answer: BallotAnswer): boolean {
    if (!this.acceptors.some(({ branchId }) => branchId === from)) return false;
    this.noteEvidence(from, answer);
    if (this.result.type !== 'open') return false;
    if (answer.type === 'decided') {
      this.result = { type: 'decided', decision: answer.decision };
      return true;
    }
    if (compareBallots(answer.ballot, this.ballot) !== 0) return false;
    if (!isLegitimateAnswer(answer, this.ballot, this.acceptors.length)) return false;
    switch (answer.type) {
      case 'outbid':
        if (compareBallots(answer.promised, this.ballot) <= 0) return false;
        this.result = { type: 'outbid', by: answer.promised };
        return true;
      case 'promised':
        if (answer.committed) this.committed.add(from);
        return this.onPromise(from, answer.accepted);
      case 'accepted':
        return this.onAcceptance(from);
      case 'abstains':
        return false;
    }
  }

  private noteEvidence(from: BranchId, answer: BallotAnswer): void {
    if (answer.type === 'decided') return;
    if (compareBallots(answer.ballot, this.ballot) !== 0) return;
    if (!isLegitimateAnswer(answer, this.ballot, this.acceptors.length)) return;
    if (isDissent(answer)) this.dissenters.add(from);
    if (answer.type === 'promised' && answer.accepted?.value === 'commit') this.isCommitAccepted = true;
  }

  private onPromise(from: BranchId, accepted: AcceptedValue | undefined): boolean {
    if (this.value !== undefined) return false; // late, and not needed
    this.promises.set(from, accepted);
    if (!this.hasEnoughPromises()) return false;
    this.value = this.safeValue();
    invariant(this.acceptances.size === 0, 'a value is accepted only after it was chosen');
    return true;
  }

  /**
   * A majority, so that no majority accepts a lower ballot any more, and enough acceptors that remember, or all there
   * are.
   */
  private hasEnoughPromises(): boolean {
    if (this.promises.size < majorityOf(this.acceptors.length)) return false;
    return this.hasEnoughMemory() || this.promises.size === this.acceptors.length;
  }

  /**
   * Whether every majority includes an acceptor that answered and remembers what it accepted. One that lost its vote
   * does not remember.
   */
  private hasEnoughMemory(): boolean {
    if (!this.isEveryVoteKnown) return true;
    const trusted = [...this.promises.keys()].filter((branchId) => !this.dissenters.has(branchId));
    return trusted.length > this.acceptors.length - majorityOf(this.acceptors.length);
  }

  private safeValue(): Decision {
    let highest: AcceptedValue | undefined;
    for (const accepted of this.promises.values()) {
      if (accepted && (!highest || compareBallots(accepted.ballot, highest.ballot) > 0)) highest = accepted;
    }
    return highest?.value ?? this.valueOfNothingAccepted();
  }

  /**
   * The value when nobody reports an accepted one. If all have answered and most have lost their votes, nobody can
   * report more. What the amnesiacs had carried out is lost with their votes, which came before it. But another branch
   * may have carried out a commit that only they had accepted. With a majority that remembers, such a commit proves
   * nothing: somebody may have made it by hand. Without one it is the only trace of a decision, which must not change.
   */
  private valueOfNothingAccepted(): Decision {
    return !this.hasEnoughMemory() && this.committed.size > 0 ? 'commit' : 'abort';
  }

  private onAcceptance(from: BranchId): boolean {
    if (this.value === undefined) return false; // from before a restart of this proposer: not asked for
    this.acceptances.add(from);
    if (this.acceptances.size < majorityOf(this.acceptors.length)) return false;
    this.result = { type: 'decided', decision: this.value };
    return true;
  }
}
