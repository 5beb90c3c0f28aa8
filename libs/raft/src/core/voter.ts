import type { ElectionTimer } from './election.js';
import type { RaftLog } from './log.js';
import type { Message, NodeId, RequestPreVote, RequestVote } from './types.js';

/** What a voter knows of the present leader. */
export interface LeaderSight {
  readonly isLeader: boolean;
  readonly knownLeader: NodeId | undefined;
}

/**
 * The node as a voter: whom it voted for in the present term, and when it gives its vote.
 *
 * It holds on to a leader heard within the shortest election timeout (thesis, sections 4.2.3 and 6.2): then a node
 * that was cut off, or removed and never told, disturbs nobody. Where leaders rely on leases it gives no vote within
 * an election timeout of its start, because it does not know whom it heard before.
 */
export class Voter {
  constructor(
    /** in the present term; 0 for nobody yet */
    public vote: NodeId,
    private silenceTicks: number,
    private readonly timer: ElectionTimer,
    private readonly log: RaftLog,
  ) {}

  tick(): void {
    if (this.silenceTicks > 0) this.silenceTicks--;
  }

  private holdsOn({ isLeader, knownLeader }: LeaderSight): boolean {
    return isLeader || (knownLeader !== undefined && this.timer.isWithinMinimum());
  }

  /** Whether a message of a later term does not count, not even for the term. */
  disregards(message: Message, sight: LeaderSight): boolean {
    if (message.type === 'request-vote') return !message.transfer && this.holdsOn(sight);
    return message.type === 'request-pre-vote' && this.holdsOn(sight);
  }

  /** Would it vote for the sender in the term to come? (thesis, section 9.6) */
  wouldVote(message: RequestPreVote, sight: LeaderSight): boolean {
    if (this.holdsOn(sight) || this.silenceTicks > 0) return false;
    return this.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
  }

  /** Gives its vote, or not: one per term, first come first served, to no older log (paper, 5.2 and 5.4.1). */
  giveVote(message: RequestVote, { knownLeader }: LeaderSight): boolean {
    const isFree = this.vote === message.from || (this.vote === 0 && knownLeader === undefined);
    const isSilent = this.silenceTicks > 0 && !message.transfer;
    if (!isFree || isSilent || !this.log.isUpToDate(message.lastLogIndex, message.lastLogTerm)) return false;
    this.vote = message.from;
    this.timer.reset();
    return true;
  }
}
