/** What the clock of another voter said a while ago, as this node has measured it. */
export interface ClockReading {
  /** in milliseconds since 1970 */
  readonly unixMs: number;
  /** monotonic time of this node at which it said so, give or take `errorMs` */
  readonly readAt: number;
  readonly errorMs: number;
}

/** The clocks of the group, as a node knows them. */
export interface GroupClocks {
  /** how many nodes vote, this one among them */
  readonly voters: number;
  /** the latest reading of each other voter that has ever answered */
  readings(): readonly ClockReading[];
}

/** A node that votes alone has only its own clock. */
export const ALONE: GroupClocks = { voters: 1, readings: () => [] };

/** Clocks that differ by more than this do not agree, in milliseconds. */
export const MAXIMUM_CLOCK_SKEW_MS = 5_000;
/** An older reading says nothing any more: clocks drift, and somebody may have set it. */
export const READING_LIFETIME_MS = 15_000;
/** A reading that took longer says too little. */
const MAXIMUM_ERROR_MS = 1_000;

/**
 * What the clocks of a majority say together. `agreed`: they lie between `lowest` and `highest`, which are not further
 * apart than is allowed. `apart`: enough of them are known, and no majority agrees. `unheard`: too few are known.
 */
export interface ClockComparison {
  readonly verdict: 'agreed' | 'apart' | 'unheard';
  /** of those that agree; of all that are known when none do; in milliseconds since 1970 */
  readonly lowest: number;
  readonly highest: number;
  /** between any two that are known, whether they agree or not, in milliseconds */
  readonly skewMs: number;
  /** the latest of all that are known, and what it may be short of */
  readonly latest: number;
}

/**
 * Compares a node's clock with those of the others (as Marzullo's algorithm does, with intervals of one width): the
 * closest clocks of a majority are the group's, and a clock outside of them is wrong, also if it is this node's.
 *
 * @param own what the clock of this node says now
 * @param monotonic this node's monotonic time now
 */
export function compareClocks(own: number, monotonic: number, group: GroupClocks): ClockComparison {
  const majority = Math.floor(group.voters / 2) + 1;
  const clocks = [own];
  let latest = own;
  for (const { unixMs, readAt, errorMs } of group.readings()) {
    const ageMs = monotonic - readAt;
    if (ageMs > READING_LIFETIME_MS || errorMs > MAXIMUM_ERROR_MS) continue;
    clocks.push(unixMs + ageMs);
    latest = Math.max(latest, unixMs + ageMs + errorMs);
  }
  clocks.sort((a, b) => a - b);
  const skewMs = clocks.at(-1)! - clocks[0]!;
  const known = { lowest: clocks[0]!, highest: clocks.at(-1)!, skewMs, latest };
  if (clocks.length < majority) return { verdict: 'unheard', ...known };
  const closest = closestOf(clocks, majority);
  if (closest.highest - closest.lowest > MAXIMUM_CLOCK_SKEW_MS) return { verdict: 'apart', ...known };
  return { verdict: 'agreed', ...known, ...closest };
}

/** The `count` neighbours that lie closest together, of clocks in ascending order. */
function closestOf(clocks: readonly number[], count: number): { lowest: number; highest: number } {
  let best = { lowest: clocks[0]!, highest: clocks[count - 1]! };
  for (let first = 1; first + count <= clocks.length; first++) {
    const [lowest, highest] = [clocks[first]!, clocks[first + count - 1]!];
    if (highest - lowest < best.highest - best.lowest) best = { lowest, highest };
  }
  return best;
}
