import { describe, expect, it } from '@jest/globals';
import type { Entry } from '../core/types.js';
import { Applier } from './applier.js';
import { ProposalUnknownError } from './errors.js';
import { PendingProposals } from './pending-proposals.js';
import { SnapshotKeeper } from './snapshot-keeper.js';
import { MemoryStorage } from '../storage/memory-storage.js';
import type { StateMachine } from './ports.js';

const NO_DATA = new Uint8Array(0);
const LIMITS = { maximumCount: 10, maximumBytes: 1000, maximumCommandBytes: 100 };
const THRESHOLDS = { afterBytes: 1_000_000, afterEntries: 1_000_000 };

const machine: StateMachine<number> = {
  apply: (_command, index) => index,
  takeSnapshot: () => NO_DATA,
  restoreSnapshot: () => undefined,
};

function newApplier(proposals: PendingProposals<number>): Applier<number> {
  const storage = new MemoryStorage();
  const options = { storage, stateMachine: machine, thresholds: THRESHOLDS, follow: () => undefined };
  return new Applier(machine, proposals, new SnapshotKeeper(options));
}

function entry(index: number, term: number, kind: Entry['kind']): Entry {
  return { index, term, kind, data: NO_DATA };
}

describe('a proposal whose place another leader has taken', () => {
  it.each(['no-op', 'normal'] as const)(
    'with a %s entry is of unknown fate, and does not hold up later ones',
    async (kind) => {
      const proposals = new PendingProposals<number>(LIMITS);
      const applier = newApplier(proposals);
      const replaced = proposals.add(NO_DATA);
      proposals.appendedAt(1, 1, 2);
      const committed = proposals.add(NO_DATA);
      proposals.appendedAt(2, 1, 4);
      applier.apply([entry(1, 3, kind), entry(2, 4, 'normal')]);
      await expect(replaced).rejects.toBeInstanceOf(ProposalUnknownError);
      await expect(committed).resolves.toMatchObject({ index: 2, term: 4 });
      expect(proposals.count).toBe(0);
    },
  );
});
