import { randomItem, type Random } from '@concordat/foundation';
import type {
  BranchAddress,
  CoordinatorMessage,
  DoneMessage,
  InquiryMessage,
  VoteMessage,
} from '../vocabulary/messages.js';
import type { BranchEnd, Decision, Vote } from '../vocabulary/types.js';

/**
 * A branch with its database, after protocol section 5: what is prepared stays so until it is told a decision, a
 * tombstone is for ever, and nothing else is remembered. Everything here is durable, so a crash of the
 * participant is a message that it did not get.
 */
export class BranchModel {
  prepared: boolean;
  ledger: 'committed' | 'aborted' | undefined;
  /** it has said read-only, so it may hold nothing of a committed transaction */
  saidReadOnly = false;

  /** @param inclinations what its handler may come to, each time anew; the handler may write only now and then */
  constructor(
    readonly address: BranchAddress,
    readonly inclinations: readonly Vote[],
    private readonly random: Random,
    prepared = false,
  ) {
    this.prepared = prepared;
  }

  receive(message: CoordinatorMessage): VoteMessage | DoneMessage | undefined {
    switch (message.type) {
      case 'prepare':
        return { ...this.address, type: 'vote', vote: this.prepare(), results: [] };
      case 'commit-one-phase':
        return { ...this.address, type: 'done', end: this.commitOnePhase() };
      case 'decision':
        return { ...this.address, type: 'done', end: message.decision === 'commit' ? this.commit() : this.abort() };
      case 'ruling':
        return { ...this.address, type: 'done', end: this.endAgainst(message.ruling) };
      case 'unknown-old':
      case 'undecided':
      case 'ballot-request': // of three phases, where a branch is more than this: see `AcceptorDatabase`
        return undefined;
    }
  }

  inquiry(): InquiryMessage {
    return { ...this.address, type: 'inquiry', gid: this.address.branchId };
  }

  private prepare(): Vote {
    if (this.prepared || this.ledger === 'committed') return 'yes';
    if (this.ledger === 'aborted') return 'no';
    const vote = randomItem(this.random, this.inclinations);
    if (vote === 'yes') this.prepared = true;
    else if (vote === 'no') this.ledger = 'aborted';
    else this.saidReadOnly = true;
    return vote;
  }

  private commitOnePhase(): BranchEnd {
    if (this.ledger) return this.ledger;
    const vote = randomItem(this.random, this.inclinations);
    if (vote === 'read-only') {
      this.saidReadOnly = true;
      return 'read-only';
    }
    this.ledger = vote === 'yes' ? 'committed' : 'aborted';
    return this.ledger;
  }

  private commit(): BranchEnd {
    if (this.prepared) {
      this.prepared = false;
      this.ledger = 'committed';
    }
    return this.ledger === 'committed' ? 'committed' : 'heuristic-rollback';
  }

  /** What an operator's ruling comes to; nothing is changed that has ended before. */
  private endAgainst(ruling: Decision): BranchEnd {
    if (!this.prepared) return this.ledger ?? 'aborted';
    return (ruling === 'commit' ? this.commit() : this.abort()) === 'committed'
      ? 'heuristic-commit'
      : 'heuristic-rollback';
  }

  private abort(): BranchEnd {
    this.prepared = false;
    if (this.ledger === 'committed') return 'committed';
    this.ledger = 'aborted';
    return 'aborted';
  }
}
