const SHARD_BITS = 6;
const SHARDS = 1 << SHARD_BITS;
const SLOT_HASHES = 2 ** (32 - SHARD_BITS);
const MINIMUM_CAPACITY = 8;
const MAXIMUM_LOAD = 0.85;
const LOAD_AFTER_REHASH = 0.65;
const EMPTY = 0;

interface Shard {
  hashes: Uint32Array;
  blocks: Uint32Array;
  /** slots that are not empty, those of dropped blocks included */
  used: number;
}

/**
 * Which blocks may hold a text: a hash table with open addressing in typed arrays, 8 bytes a slot, about 11 an
 * entry. It keeps 32 bits of hash and not the text, so what it finds must be verified in the block; a wrong
 * candidate (one look-up in 20,000 at 200,000 entries) costs one decompression.
 *
 * Split into shards, so that growing never stops the caller for the whole of it. Entries of dropped blocks are
 * not removed: their slots are reused, and left out when their shard is rebuilt.
 */
export class BlockIndex {
  private shards: Shard[] = [];

  /**
   * @param isLive whether a block, numbered from 1, is still there
   * @param seed of the hash, unlike on other nodes, so that nobody can choose texts that collide
   */
  constructor(
    private readonly isLive: (block: number) => boolean,
    private readonly seed: number,
  ) {
    this.clear();
  }

  /** Size of the tables, in bytes. */
  get sizeBytes(): number {
    return this.shards.reduce((sum, { hashes }) => sum + hashes.byteLength * 2, 0);
  }

  clear(): void {
    this.shards = Array.from({ length: SHARDS }, () => emptyShard(MINIMUM_CAPACITY));
  }

  add(text: string, block: number): void {
    const hash = hashText(text, this.seed);
    const shard = this.shards[hash & (SHARDS - 1)]!;
    if (shard.used + 1 > shard.hashes.length * MAXIMUM_LOAD) this.rebuild(shard);
    this.place(shard, hash, block);
  }

  /** Blocks that may hold the text, each once. */
  candidates(text: string): number[] {
    const hash = hashText(text, this.seed);
    const { hashes, blocks } = this.shards[hash & (SHARDS - 1)]!;
    const found: number[] = [];
    for (let slot = firstSlot(hash, hashes.length); blocks[slot] !== EMPTY; slot = (slot + 1) % hashes.length) {
      const block = blocks[slot]!;
      if (hashes[slot] === hash && this.isLive(block) && !found.includes(block)) found.push(block);
    }
    return found;
  }

  /** Gives back what dropped blocks have left, if that is most of the table. */
  compact(liveCount: number): void {
    const used = this.shards.reduce((sum, shard) => sum + shard.used, 0);
    if (used <= 2 * liveCount + SHARDS * MINIMUM_CAPACITY) return;
    for (const shard of this.shards) this.rebuild(shard);
  }

  private place(shard: Shard, hash: number, block: number): void {
    const { hashes, blocks } = shard;
    let slot = firstSlot(hash, hashes.length);
    while (blocks[slot] !== EMPTY && this.isLive(blocks[slot]!)) slot = (slot + 1) % hashes.length;
    if (blocks[slot] === EMPTY) shard.used++;
    hashes[slot] = hash;
    blocks[slot] = block;
  }

  private rebuild(shard: Shard): void {
    const { hashes, blocks } = shard;
    let live = 0;
    for (const block of blocks) if (block !== EMPTY && this.isLive(block)) live++;
    const capacity = Math.max(MINIMUM_CAPACITY, Math.ceil((live + 1) / LOAD_AFTER_REHASH));
    Object.assign(shard, emptyShard(capacity));
    for (let slot = 0; slot < blocks.length; slot++) {
      const block = blocks[slot]!;
      if (block !== EMPTY && this.isLive(block)) this.place(shard, hashes[slot]!, block);
    }
  }
}

function emptyShard(capacity: number): Shard {
  return { hashes: new Uint32Array(capacity), blocks: new Uint32Array(capacity), used: 0 };
}

/** The low bits chose the shard; the others spread over its slots. */
function firstSlot(hash: number, capacity: number): number {
  return Math.floor(((hash >>> SHARD_BITS) / SLOT_HASHES) * capacity);
}

/** MurmurHash3 (Austin Appleby), 32 bits, over UTF-16 code units. */
function hashText(text: string, seed: number): number {
  let hash = seed | 0;
  for (let i = 0; i < text.length; i++) {
    let unit = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    unit = Math.imul((unit << 15) | (unit >>> 17), 0x1b873593);
    hash ^= unit;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
