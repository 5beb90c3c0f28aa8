import { invariant, unreachable } from '@concordat/foundation';
import type { ElectionTimer } from './election-timer.js';
import type { RaftLog } from '../log/log.js';
import type { Message, NodeId, RequestPreVote, RequestVote } from '../types.js';

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

  /** Its vote of the present term, which it never takes back. */
  voteFor(nodeId: NodeId): void {
    invariant(this.vote === 0 || this.vote === nodeId, 'a node votes once per term');
    this.vote = nodeId;
  }

  newTerm(): void {
    this.vote = 0;
  }

  tick(): void {
    if (this.silenceTicks > 0) this.silenceTicks--;
  }

  private holdsOn({ isLeader, knownLeader }: LeaderSight): boolean {
    return isLeader || (knownLeader !== undefined && this.timer.isWithinMinimum());
  }

  /**
   * Whether a message of a later term does not count, not even for the term. Who holds on to a leader forgets it only
   * for somebody who leads a later term, or whom the leader itself asked to stand: a node that took over a term for less
   * would know no leader in it, and vote at once. A leader steps down at any answer of a later term (paper, 5.1).
   */
  disregards(message: Message, sight: LeaderSight): boolean {
    if (!this.holdsOn(sight)) return false;
    switch (message.type) {
      case 'request-vote':
        return !message.transfer;
      case 'request-pre-vote':
        return true;
      case 'pre-vote-reply':
      case 'request-vote-reply':
      case 'append-entries-accepted':
      case 'append-entries-refused':
      case 'snapshot-chunk-reply':
      case 'read-index-request':
      case 'read-index-reply':
        return !sight.isLeader; // as late as the network likes, to what this node asked when it stood or led
      case 'append-entries':
      case 'snapshot-chunk':
      case 'timeout-now':
        return false; // only a leader of that term sends them
      case 'introduction':
      case 'introduction-reply':
        return true; // say nothing of terms
      default:
        return unreachable(message, 'message');
    }
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
    this.voteFor(message.from);
    this.timer.reset();
    return true;
  }
}
