import type { NodeId } from '../core/types.js';

/** A peer's clock, as it was measured. */
export interface PeerClockReading {
  /** in milliseconds since 1970 */
  readonly unixMs: number;
  /** monotonic time of this node at the reading, with an error of up to `errorMs` */
  readonly readAt: number;
  readonly errorMs: number;
}

/** Counters of one peer, over all its streams. */
export interface PeerCounters {
  /** latest measured round trip; undefined before the first */
  roundTripMs: number | undefined;
  /** latest reading; undefined before the first */
  clock: PeerClockReading | undefined;
  sentBytes: number;
  receivedBytes: number;
  sentMessages: number;
  receivedMessages: number;
  droppedMessages: number;
  /** how often this node's stream was accepted */
  connections: number;
}

/** Strangers are counted, too; beyond this many nodes the oldest that is no peer is dropped. */
const maximumNodes = 512;

/** Counters by node, created on first use. */
export class PeerLedger {
  private readonly counters = new Map<NodeId, PeerCounters>();

  constructor(private readonly isPeer: (nodeId: NodeId) => boolean) {}

  find(nodeId: NodeId): PeerCounters | undefined {
    return this.counters.get(nodeId);
  }

  of(nodeId: NodeId): PeerCounters {
    let counters = this.counters.get(nodeId);
    if (!counters) {
      counters = {
        roundTripMs: undefined,
        clock: undefined,
        sentBytes: 0,
        receivedBytes: 0,
        sentMessages: 0,
        receivedMessages: 0,
        droppedMessages: 0,
        connections: 0,
      };
      this.makeRoom();
      this.counters.set(nodeId, counters);
    }
    return counters;
  }

  private makeRoom(): void {
    if (this.counters.size < maximumNodes) return;
    for (const nodeId of this.counters.keys()) {
      if (this.isPeer(nodeId)) continue;
      this.counters.delete(nodeId);
      return;
    }
  }
}
