import type { Hash } from './hash-tree.js';
import type { MessageKey } from './key-set.js';

/** Batches that are remembered: their records arrive soon after each other. */
const MAXIMUM_BATCHES = 1_024;

interface KnownBatch {
  readonly root: Hash;
  readonly key: MessageKey;
}

/**
 * Batches whose signature was right, so that their other records need no further check of it. The oldest are forgotten
 * first; then the signature is checked again.
 */
export class KnownBatches {
  private readonly batches = new Map<string, KnownBatch>();

  constructor(private readonly maximum = MAXIMUM_BATCHES) {}

  /**
   * Whether a batch of this name has this root; undefined for one that is not known.
   *
   * @param name with its signature
   * @param key that is trusted now: what another key of the same id has signed does not count
   */
  hasRoot(name: string, root: Hash, key: MessageKey): boolean | undefined {
    const known = this.batches.get(name);
    return known?.key === key ? known.root === root : undefined;
  }

  remember(name: string, root: Hash, key: MessageKey): void {
    this.batches.delete(name);
    this.batches.set(name, { root, key });
    if (this.batches.size <= this.maximum) return;
    const [oldest] = this.batches.keys();
    this.batches.delete(oldest!);
  }
}
