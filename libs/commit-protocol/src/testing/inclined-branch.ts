import { randomItem, type Random } from '@concordat/foundation';
import {
  ModelledBranch,
  toEnd,
  type DatabaseWork,
} from '../../../../test/support/modelled-database/modelled-branch.js';
import { compareBallots, FIRST_BALLOT, type Acceptor } from '../ballots/ballot.js';
import type {
  BranchAddress,
  CommitOnePhaseMessage,
  CoordinatorMessage,
  DoneMessage,
  InquiryMessage,
  PrepareMessage,
  VoteMessage,
} from '../vocabulary/messages.js';
import type { BranchEnd, Decision, Vote } from '../vocabulary/types.js';

/** A branch with its database, whose handlers come to whatever it is inclined to. */
export class InclinedBranch extends ModelledBranch {
  /** its handlers have only read, so it may hold nothing of a committed transaction */
  hasOnlyRead = false;

  /**
   * @param inclinations what its handlers may come to, each time anew
   * @param isPrepared its service has prepared it
   */
  constructor(
    readonly address: BranchAddress,
    readonly inclinations: readonly Vote[],
    private readonly random: Random,
    isPrepared = false,
  ) {
    super(address, isPrepared);
  }

  /** Its vote is on record; only then may it open a ballot. */
  get recordedVote(): Vote | undefined {
    return this.rows.acceptor?.vote;
  }

  /** Whether it can answer a ballot: while it is prepared and its vote not on record, nothing may be said of it. */
  get canAnswer(): boolean {
    return this.rows.acceptor !== undefined || !this.isPrepared;
  }

  /** Whether it has accepted the coordinators' first ballot, and no later one. */
  get hasAcceptedFirst(): boolean {
    const accepted = this.rows.acceptor?.accepted;
    return accepted !== undefined && compareBallots(accepted.ballot, FIRST_BALLOT) === 0;
  }

  get acceptors(): readonly Acceptor[] {
    return this.rows.acceptor?.acceptors ?? [];
  }

  *prepare(message: PrepareMessage): DatabaseWork<Vote> {
    const { acceptors, enlistedVote } = message.protocol === '3pc' ? message : {};
    const earlier = yield* this.earlierVote(acceptors);
    if (earlier) return earlier.vote;
    // what is not there any more is never run empty
    const result = yield* this.vote(this.work(enlistedVote === 'yes' ? 'no' : enlistedVote), acceptors);
    return result.vote;
  }

  *commitOnePhase(_message: CommitOnePhaseMessage): DatabaseWork<BranchEnd> {
    const result = (yield* this.earlierEnd()) ?? (yield* this.end(this.work()));
    return result.end;
  }

  inquiry(): InquiryMessage {
    return { ...this.address, type: 'inquiry', gid: this.address.branchId };
  }

  /** In two phases, where every message is answered at once: a crash of the participant is one that it did not get. */
  receive(message: CoordinatorMessage): VoteMessage | DoneMessage | undefined {
    switch (message.type) {
      case 'prepare':
        return { ...this.address, type: 'vote', vote: toEnd(this.prepare(message)), results: [] };
      case 'commit-one-phase':
        return this.done(toEnd(this.commitOnePhase(message)));
      case 'decision':
        return this.done(toEnd(message.decision === 'commit' ? this.commit() : this.abort()));
      case 'ruling':
        return this.done(this.endAgainst(message.ruling));
      case 'unknown-old':
      case 'undecided':
      case 'ballot-request':
        return undefined;
    }
  }

  private done(end: BranchEnd): DoneMessage {
    return { ...this.address, type: 'done', end };
  }

  /** What an operator's ruling comes to; nothing is changed that has ended before. */
  private endAgainst(ruling: Decision): BranchEnd {
    if (!this.isPrepared) return this.ledger ?? 'aborted';
    return toEnd(ruling === 'commit' ? this.commit() : this.abort()) === 'committed'
      ? 'heuristic-commit'
      : 'heuristic-rollback';
  }

  private work(vote = randomItem(this.random, this.inclinations)) {
    this.hasOnlyRead ||= vote === 'read-only';
    return { vote, results: [] };
  }
}
