import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import type { ScenarioLab } from './scenario-lab.js';

/** A branch that is prepared longer than this is held, not in passing. */
const HELD_AFTER_MS = 700;

/** Waits for the branch that a failpoint holds, at one bank or anywhere: the only one that stays prepared. */
export async function heldBranch(
  lab: ScenarioLab,
  { bank: at, heldAfterMs = HELD_AFTER_MS }: { readonly bank?: string; readonly heldAfterMs?: number } = {},
): Promise<{ bank: string; gid: string }> {
  const firstSeen = new Map<string, number>();
  let held: { bank: string; gid: string } | undefined;
  await waitUntil(
    async () => {
      const anywhere = await lab.databases.preparedAnywhere();
      const prepared = anywhere.filter(({ bank }) => at === undefined || bank === at);
      const now = Date.now();
      for (const { gid } of prepared) if (!firstSeen.has(gid)) firstSeen.set(gid, now);
      held = prepared.find(({ gid }) => now - (firstSeen.get(gid) ?? now) > heldAfterMs);
      return held !== undefined;
    },
    { timeoutMs: 15_000, pollMs: 50 },
  );
  if (held) return held;
  throw new LabError('No branch stayed prepared although its decision was held.');
}
