import { invariant, unreachable } from '@concordat/foundation';
import type { ElectionTimer } from './election-timer.js';
import type { RaftLog } from '../log/log.js';
import type { Message, NodeId, RequestPreVote, RequestVote } from '../types.js';

/** What a voter knows about the present leader. */
export interface LeaderKnowledge {
  readonly isLeader: boolean;
  readonly knownLeader: NodeId | undefined;
}

/**
 * The node as a voter: its vote of the present term, and the rules for granting votes.
 *
 * It ignores candidates while it has heard from a leader within the shortest election timeout (thesis, sections 4.2.3
 * and 6.2): so a node that was disconnected, or removed without knowing, disturbs no leader. Where leaders rely on
 * leases it grants no vote within an election timeout of its start, because it does not know its last leader.
 */
export class Voter {
  constructor(
    /** in the present term; 0 for none */
    public vote: NodeId,
    private silenceTicks: number,
    private readonly timer: ElectionTimer,
    private readonly log: RaftLog,
  ) {}

  /** Records its vote of the present term, which never changes. */
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

  private holdsOn({ isLeader, knownLeader }: LeaderKnowledge): boolean {
    return isLeader || (knownLeader !== undefined && this.timer.isWithinMinimum());
  }

  /**
   * Whether a message of a later term is ignored, even for the term. A voter with a leader takes over a later term only
   * from a leader of that term, or from a candidate that the leader asked to stand: after any other it would know no
   * leader in the term, and vote at once. A leader steps down at any answer of a later term (paper, 5.1).
   */
  ignores(message: Message, knowledge: LeaderKnowledge): boolean {
    if (!this.holdsOn(knowledge)) return false;
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
        return !knowledge.isLeader; // a late answer to an earlier request of this node
      case 'append-entries':
      case 'snapshot-chunk':
      case 'timeout-now':
        return false; // only a leader of that term sends these
      case 'introduction':
      case 'introduction-reply':
        return true; // they say nothing about terms
      default:
        return unreachable(message, 'message');
    }
  }

  /** Whether it would vote for the sender in the next term (thesis, section 9.6). */
  wouldVote(message: RequestPreVote, knowledge: LeaderKnowledge): boolean {
    if (this.holdsOn(knowledge) || this.silenceTicks > 0) return false;
    return this.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
  }

  /** Grants or refuses its vote: one per term, first come first served, to no older log (paper, 5.2 and 5.4.1). */
  grantVote(message: RequestVote, { knownLeader }: LeaderKnowledge): boolean {
    const isFree = this.vote === message.from || (this.vote === 0 && knownLeader === undefined);
    const isSilent = this.silenceTicks > 0 && !message.transfer;
    if (!isFree || isSilent || !this.log.isUpToDate(message.lastLogIndex, message.lastLogTerm)) return false;
    this.voteFor(message.from);
    this.timer.reset();
    return true;
  }
}
