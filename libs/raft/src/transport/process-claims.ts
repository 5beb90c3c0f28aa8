import type { Incarnation, NodeId } from '../core/types.js';

/** A process that speaks for a node over one connection. */
export interface Claimant {
  /** a random number of its own, drawn when it started */
  readonly process: number;
  /** Whether the connection is open. */
  isOpen(): boolean;
  /** Monotonic time in milliseconds of its latest message; it may have died before that arrived. */
  heardAt(): number;
  /** Monotonic time of this node's latest message that the process has answered: it was alive then. */
  aliveAt(): number;
}

/**
 * - `accepted`: it speaks for the node from now on
 * - `wait`: another process of the same directory is connected, and may be dead; ask again
 * - `second`: that other process is alive, so this is a second one
 */
export type Verdict = 'accepted' | 'wait' | 'second';

interface Holder {
  readonly claimant: Claimant;
  challenge: { readonly process: number; readonly since: number } | undefined;
}

/** Further directories are remembered only while their processes are connected. */
const MAXIMUM_CLOSED_HOLDERS = 512;

/**
 * Which process speaks for which data directory, from the view of this node. A process on a copy of a directory (a
 * restored backup, a cloned machine) and the first one do not know each other's promises. So messages of only one
 * process per directory are accepted, and a connected one stays.
 *
 *     (none) --claim--> held --another claims--> challenged --silent for `patienceMs`--> held by the other
 *     challenged --holder answers--> held, and the other is a second process
 *     held, challenged --connection of the holder ends--> (none)
 *
 * A restarted process finds the connection of its predecessor closed. If that was not noticed (the machine was switched
 * off), it takes over when the predecessor has been silent for `patienceMs`. Messages of the predecessor may still
 * arrive over a slow link, so only an answer proves that it is alive.
 *
 * It works both ways: this process also ignores a node that does not accept it, because the node's messages are for the
 * other process, such as a vote that both have asked for.
 */
export class ProcessClaims {
  private readonly holders = new Map<string, Holder>();
  private readonly refusedBy = new Set<NodeId>();

  /** @param patienceMs at least three times the longest silence of a live process */
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

  /** Records another node's verdict about this process. */
  judgedBy(nodeId: NodeId, verdict: Verdict): void {
    if (verdict === 'accepted') this.refusedBy.delete(nodeId);
    else this.refusedBy.add(nodeId);
  }

  /** Whether this process accepts messages of that node. */
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
