import { waitUntil } from '../local-system/wait.js';
import type { ScenarioLab } from './scenario-lab.js';
import type { Transfer } from './truth.js';

/** An end that is silent this long is given up, and what was under way is sent over Kafka (docs/operations.md). */
export const STREAM_TIMEOUT_MS = 3_000;
const ANSWERS_TIMEOUT_MS = 60_000;

/** The transfers that were open at any time of a disturbance. */
export interface Disturbed {
  readonly count: number;
  /** those without an answer, and those aborted for any other reason than an empty account */
  readonly failed: readonly string[];
  /** from the first request to the answer, in milliseconds */
  readonly longestMs: number;
}

/** @param from first moment of the disturbance, in milliseconds since 1970; `to` the last one */
export function disturbedBetween(transfers: readonly Transfer[], from: number, to: number): Disturbed {
  const open = transfers.filter(({ askedAt = Infinity, toldAt = Infinity }) => askedAt <= to && toldAt >= from);
  const failed = open.flatMap(({ key, told, abortReason }) => {
    if (told === undefined) return [`${key} has no answer`];
    return told === 'aborted' && abortReason !== 'INSUFFICIENT_FUNDS' ? [`${key} was aborted: ${abortReason}`] : [];
  });
  const longestMs = open.reduce((longest, { askedAt = 0, toldAt = askedAt }) => Math.max(longest, toldAt - askedAt), 0);
  return { count: open.length, failed, longestMs };
}

/** Checks that no transfer failed in a disturbance that is over, and that none took longer than the limit. */
export async function checkDelays(
  lab: ScenarioLab,
  { name, from, limitMs }: { readonly name: string; readonly from: number; readonly limitMs: number },
): Promise<void> {
  const to = Date.now();
  const { transfers } = lab.load;
  const isOpen = ({ askedAt = Infinity, told }: Transfer): boolean => askedAt <= to && told === undefined;
  await waitUntil(() => !transfers.some(isOpen), { timeoutMs: ANSWERS_TIMEOUT_MS });
  const { count, failed, longestMs } = disturbedBetween(transfers, from, to);
  const late = longestMs > limitMs ? [`one took ${longestMs} ms, longer than ${limitMs} ms`] : [];
  lab.check(
    `no transfer fails or waits longer than ${limitMs / 1000} s ${name}`,
    [...failed, ...late],
    `${count} transfers, the longest ${longestMs} ms`,
  );
}
