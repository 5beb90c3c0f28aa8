import type { Clock } from '@concordat/foundation';
import type { ClockReading, GroupClocks } from '../../apps/coordinator/src/index.js';

/** A node whose clock others read. */
export interface ReadableNode {
  readonly nodeId: number;
  readonly machine: Pick<Clock, 'now'>;
  readonly process: { readonly isPaused: boolean } | undefined;
}

/** The clocks of a group as pings read them: whoever does not answer is remembered as it was. */
export class SimulatedGroupClocks implements GroupClocks {
  private readonly latest = new Map<number, ClockReading>();

  /** @param isReachable whether a ping to the node, and its answer, would come through */
  constructor(
    readonly voters: number,
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly others: () => readonly ReadableNode[],
    private readonly isReachable: (nodeId: number) => boolean,
  ) {}

  readings(): readonly ClockReading[] {
    for (const { nodeId, machine, process } of this.others()) {
      if (!process || process.isPaused || !this.isReachable(nodeId)) continue;
      this.latest.set(nodeId, { unixMs: machine.now(), readAt: this.clock.monotonic(), errorMs: 1 });
    }
    return [...this.latest.values()];
  }
}
