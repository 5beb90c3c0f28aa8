/** The clock of another voter, as this node measured it. */
export interface ClockReading {
  /** in milliseconds since 1970 */
  readonly unixMs: number;
  /** monotonic time of this node at the reading, with an error of up to `errorMs` */
  readonly readAt: number;
  readonly errorMs: number;
}

/** The clocks of the group, as this node knows them. */
export interface GroupClocks {
  /** number of voters, this node included */
  readonly voters: number;
  /** the latest reading of each other voter that has ever answered */
  readings(): readonly ClockReading[];
}

/** A single voter has only its own clock. */
export const SINGLE_VOTER: GroupClocks = { voters: 1, readings: () => [] };

/** Clocks that differ by more milliseconds than this do not agree. */
export const MAXIMUM_CLOCK_SKEW_MS = 5_000;
/** An older reading is not used: clocks drift and may have been set. */
export const READING_LIFETIME_MS = 15_000;
/** A less exact reading is not used. */
const MAXIMUM_ERROR_MS = 1_000;

/**
 * The comparison of the clocks. `agreed`: those of a majority lie between `lowest` and `highest`, no further apart than
 * allowed. `apart`: enough are known, and no majority agrees. `unheard`: too few are known.
 */
export interface ClockComparison {
  readonly verdict: 'agreed' | 'apart' | 'unheard';
  /** of the clocks that agree, or of all known ones when none do; in milliseconds since 1970 */
  readonly lowest: number;
  readonly highest: number;
  /** largest difference between known clocks, in milliseconds */
  readonly skewMs: number;
  /** the latest of all known clocks, plus its error */
  readonly latest: number;
}

/**
 * Compares this node's clock with the others (Marzullo's algorithm, with intervals of one width). The closest clocks of
 * a majority are the group's time. A clock outside of them is wrong, even this node's.
 *
 * @param own this node's clock now
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

/** The `count` neighbours that are closest together, of clocks in ascending order. */
function closestOf(clocks: readonly number[], count: number): { lowest: number; highest: number } {
  let best = { lowest: clocks[0]!, highest: clocks[count - 1]! };
  for (let first = 1; first + count <= clocks.length; first++) {
    const [lowest, highest] = [clocks[first]!, clocks[first + count - 1]!];
    if (highest - lowest < best.highest - best.lowest) best = { lowest, highest };
  }
  return best;
}
