import type { Incarnation, NodeId } from '../core/types.js';

/** A process that wants to speak for a node, by one way to this node. */
export interface Claimant {
  /** a number of its own, drawn at random when it started */
  readonly process: number;
  /** Whether that way is still there. */
  isOpen(): boolean;
  /** Monotonic time in milliseconds of what it sent last; it may have died before that arrived. */
  heardAt(): number;
  /** Monotonic time of the latest answer of this node that the process has answered in turn: it was alive then. */
  aliveAt(): number;
}

/**
 * - `accepted`: it speaks for the node from now on
 * - `wait`: another process of the same directory is connected, and may be dead; to be asked again
 * - `second`: that other process lives, so this is a second one
 */
export type Verdict = 'accepted' | 'wait' | 'second';

interface Holder {
  readonly claimant: Claimant;
  challenge: { readonly process: number; readonly since: number } | undefined;
}

/** More directories than this are remembered only while their processes are connected. */
const MAXIMUM_CLOSED_HOLDERS = 512;

/**
 * Which process speaks for which data directory, as this node sees it. A process that was started on a copy of a
 * directory (a restored backup, a cloned machine) promises what the first one does not know of, and does not know what
 * that one has promised; so of each directory one process is heard at a time, and the one that is connected stays.
 *
 *     (nobody) --claim--> held --another claims--> challenged --silent for `patienceMs`--> held by the other
 *     challenged --holder answers--> held, and the other is a second process
 *     held, challenged --connection of the holder ends--> (nobody)
 *
 * A restarted process finds the connection of its predecessor closed. Where that is not noticed (the machine was
 * switched off), it takes the place when the predecessor has been silent for `patienceMs`. What the predecessor had
 * sent may still arrive for a while over a slow link, so it is no sign of life: an answer is.
 *
 * It works both ways: whoever does not hear this process is not heard by it, because what comes from there is meant for
 * the other one, such as a vote that this one has asked for, too.
 */
export class ProcessClaims {
  private readonly holders = new Map<string, Holder>();
  private readonly refusedBy = new Set<NodeId>();

  /** @param patienceMs at least three times as long as a living process is silent */
  constructor(private readonly patienceMs: number) {}

  claim(nodeId: NodeId, incarnation: Incarnation, claimant: Claimant, now: number): Verdict {
    const key = `${nodeId} ${incarnation}`;
    const holder = this.holders.get(key);
    const challenge = holder?.challenge;
    if (holder?.claimant.process === claimant.process) return this.accept(key, claimant, challenge);
    if (!holder?.claimant.isOpen()) return this.accept(key, claimant);
    if (challenge?.process !== claimant.process) {
      holder.challenge = { process: claimant.process, since: now };
      return 'wait';
    }
    if (holder.claimant.aliveAt() >= challenge.since) return 'second';
    return now - holder.claimant.heardAt() < this.patienceMs ? 'wait' : this.accept(key, claimant);
  }

  /** What another node says of this process. */
  judgedBy(nodeId: NodeId, verdict: Verdict): void {
    if (verdict === 'accepted') this.refusedBy.delete(nodeId);
    else this.refusedBy.add(nodeId);
  }

  /** Whether this process takes messages of that node. */
  listensTo(nodeId: NodeId): boolean {
    return !this.refusedBy.has(nodeId);
  }

  private accept(key: string, claimant: Claimant, challenge?: Holder['challenge']): Verdict {
    this.holders.delete(key);
    this.holders.set(key, { claimant, challenge });
    if (this.holders.size > MAXIMUM_CLOSED_HOLDERS) this.forgetClosed();
    return 'accepted';
  }

  private forgetClosed(): void {
    for (const [key, { claimant }] of this.holders) if (!claimant.isOpen()) this.holders.delete(key);
  }
}
