import type { EndedTransactions, TransactionId, TransactionState } from '@concordat/commit-protocol';
import { SystemRandom, invariant, roughJsonSize } from '@concordat/foundation';
import { jsonColumns, type ArchivedRow, type BlockCoding, type DecodedBlock } from './archive-block.js';
import { BlockIndex } from './archive-index.js';

export interface CompressedEndedTransactionsOptions {
  /** transactions in a sealed block; sealing takes about 20 µs for each, in the caller's turn. Default 128. */
  readonly blockSize?: number;
  /** a block is sealed with the transaction that makes it so large, in bytes of JSON; default 256 KiB */
  readonly blockSizeBytes?: number;
  /** blocks kept decompressed, each of some 100 kB, or of one transaction that is larger. Default 8. */
  readonly decodedBlocks?: number;
  /** seed of the index's hash; drawn from the system's randomness by default */
  readonly hashSeed?: number;
  /** of the blocks; benchmarks compare others with the default one */
  readonly coding?: BlockCoding;
}

/**
 * What restores an archive. Sealed blocks are shared with it, not copied: they never change, and a reader must
 * not change them.
 */
export interface EndedTransactionsSnapshot {
  readonly sealed: readonly Uint8Array[];
  /** in the order in which they were added */
  readonly recent: readonly TransactionState[];
}

interface SealedBlock {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly keyCount: number;
  readonly minimumId: TransactionId;
  readonly maximumId: TransactionId;
  readonly oldestEndedAt: number;
  readonly newestEndedAt: number;
}

/** A step of a restore ends with the block that makes it so long: some ten milliseconds at most. */
const STEP_TRANSACTIONS = 1_024;
const STEP_BYTES = 512 * 1024;

/** A place in a walk by descending id: the ids still to come are those from the end of `rows`. */
interface Cursor {
  readonly rows: { readonly id: TransactionId; readonly row: number }[];
  readonly read: (row: number) => TransactionState;
}

/**
 * Ended transactions in little memory, most of it outside the heap of V8: about 78 bytes for a transfer,
 * 145 with an idempotency key (`npm run bench -- archive`).
 *
 * The latest are held as they are until there are enough for a block; then they are sealed into bytes that
 * never change. Reading one decompresses its block; a few stay decompressed. Blocks are dropped as a whole.
 *
 * Deterministic: nodes that add and expire the same in the same order hold the same blocks. Only the layout of
 * the index differs, which nobody sees.
 */
export class CompressedEndedTransactions implements EndedTransactions {
  private readonly blockSize: number;
  private readonly blockSizeBytes: number;
  private readonly decodedLimit: number;
  private readonly coding: BlockCoding;
  private recent: TransactionState[] = [];
  private recentSizeBytes = 0;
  private recentById = new Map<TransactionId, TransactionState>();
  private recentByKey = new Map<string, TransactionState>();
  private blocks = new Map<number, SealedBlock>(); // in the order in which they were sealed
  private decoded = new Map<SealedBlock, DecodedBlock>(); // least recently used first
  private ids: BlockIndex;
  private keys: BlockIndex;
  private lastBlock = 0;
  private sealedCount = 0;
  private sealedKeyCount = 0;

  constructor(private readonly options: CompressedEndedTransactionsOptions = {}) {
    this.blockSize = options.blockSize ?? 128;
    this.blockSizeBytes = options.blockSizeBytes ?? 256 * 1024;
    this.decodedLimit = options.decodedBlocks ?? 8;
    this.coding = options.coding ?? jsonColumns;
    invariant(this.blockSize > 0 && this.decodedLimit > 0, 'blocks of ended transactions are not empty');
    const seed = options.hashSeed ?? new SystemRandom().uint32();
    const { blocks } = this;
    const isLive = (block: number): boolean => blocks.has(block);
    this.ids = new BlockIndex(isLive, seed);
    this.keys = new BlockIndex(isLive, seed);
  }

  get size(): number {
    return this.sealedCount + this.recent.length;
  }

  /** Bytes of sealed blocks and index, all outside the heap, and of the latest, which are in it. */
  get sizeBytes(): number {
    let sizeBytes = this.ids.sizeBytes + this.keys.sizeBytes + this.recentSizeBytes;
    for (const { bytes } of this.blocks.values()) sizeBytes += bytes.byteLength;
    return sizeBytes;
  }

  /** Blocks that are decompressed at the moment. */
  get decodedCount(): number {
    return this.decoded.size;
  }

  add(transaction: TransactionState): void {
    invariant(transaction.endedAt !== undefined, 'only ended transactions are archived');
    this.remember(transaction);
    if (this.recent.length < this.blockSize && this.recentSizeBytes < this.blockSizeBytes) return;
    this.adopt(this.coding.encode(this.recent), this.recent.map(entryOf));
    this.forgetRecent();
  }

  get(transactionId: TransactionId): TransactionState | undefined {
    const recent = this.recentById.get(transactionId);
    if (recent) return recent;
    return this.search(this.ids, transactionId, ({ id }) => id === transactionId);
  }

  findByKey(key: string): TransactionState | undefined {
    const recent = this.recentByKey.get(key);
    if (recent) return recent;
    return this.search(this.keys, key, ({ keys }) => keys.includes(key));
  }

  /** A sealed block is dropped when all of it ended before the time; the rest of it waits for a later call. */
  expire(before: number): TransactionId | undefined {
    let highest: TransactionId | undefined;
    const note = (id: TransactionId): void => {
      if (highest === undefined || id > highest) highest = id;
    };
    for (const block of this.blocks.values()) {
      if (block.newestEndedAt >= before) continue;
      note(block.maximumId);
      this.blocks.delete(block.number);
      this.decoded.delete(block);
      this.sealedCount -= block.size;
      this.sealedKeyCount -= block.keyCount;
    }
    this.ids.compact(this.sealedCount);
    this.keys.compact(this.sealedKeyCount);
    const dropped = this.recent.filter((transaction) => endOf(transaction) < before);
    for (const { transactionId } of dropped) note(transactionId);
    if (dropped.length === 0) return highest;
    const kept = this.recent.filter((transaction) => endOf(transaction) >= before);
    this.forgetRecent();
    for (const transaction of kept) this.remember(transaction);
    return highest;
  }

  oldestEndedAt(): number | undefined {
    let oldest = Infinity;
    for (const block of this.blocks.values()) oldest = Math.min(oldest, block.oldestEndedAt);
    for (const transaction of this.recent) oldest = Math.min(oldest, endOf(transaction));
    return oldest === Infinity ? undefined : oldest;
  }

  /** Sealed blocks go as a whole, so up to a block less than `keep` may be left. */
  endedBefore(keep: number, keepBytes: number): number | undefined {
    let excess = this.size - keep;
    let excessBytes = this.sizeBytes - keepBytes;
    if (excess <= 0 && excessBytes <= 0) return undefined;
    const indexBytes = (this.ids.sizeBytes + this.keys.sizeBytes) / this.size; // of each
    const parts = Array.from(this.blocks.values(), ({ size, bytes, newestEndedAt }) => {
      return { size, sizeBytes: bytes.byteLength + size * indexBytes, newestEndedAt };
    });
    const recentBytes = this.recentSizeBytes / Math.max(1, this.recent.length) + indexBytes;
    for (const one of this.recent) parts.push({ size: 1, sizeBytes: recentBytes, newestEndedAt: endOf(one) });
    parts.sort((a, b) => a.newestEndedAt - b.newestEndedAt);
    let before: number | undefined;
    for (const { size, sizeBytes, newestEndedAt } of parts) {
      if (excess <= 0 && excessBytes <= 0) break;
      excess -= size;
      excessBytes -= sizeBytes;
      before = newestEndedAt + 1;
    }
    return before;
  }

  /** Decompresses a block when the walk reaches its newest id; what is added or dropped meanwhile changes nothing. */
  *newestFirst(belowId?: TransactionId): Iterable<TransactionState> {
    const waiting = [...this.blocks.values()]
      .filter(({ minimumId }) => belowId === undefined || minimumId < belowId)
      .sort((a, b) => (a.maximumId < b.maximumId ? -1 : 1));
    const { recent } = this;
    const cursors = [cursorOf(recent.map(entryOf), belowId, (row) => recent[row]!)];
    for (;;) {
      let [newest] = cursors;
      for (const cursor of cursors) if (nextId(cursor) > nextId(newest)) newest = cursor;
      const block = waiting.at(-1);
      if (block && block.maximumId > nextId(newest)) {
        waiting.pop();
        cursors.push(this.cursorOfBlock(block, belowId));
        continue;
      }
      const next = newest?.rows.pop();
      if (!newest || !next) return;
      yield newest.read(next.row);
      if (newest.rows.length === 0) cursors.splice(cursors.indexOf(newest), 1);
    }
  }

  /** Cheap: nothing is copied but two lists of references. */
  takeSnapshot(): EndedTransactionsSnapshot {
    return { sealed: [...this.blocks.values()].map(({ bytes }) => bytes), recent: [...this.recent] };
  }

  /**
   * Replaces everything, in the last of its steps. Takes 4 to 6 µs a transaction in all.
   *
   * @throws CorruptArchiveBlockError when a block cannot be read; everything is then as it was
   */
  *restoreSnapshot(snapshot: EndedTransactionsSnapshot): Generator<void, void> {
    const next = new CompressedEndedTransactions(this.options);
    next.lastBlock = this.lastBlock; // a walk may still go through the old ones
    let [transactions, sizeBytes] = [0, 0];
    for (const bytes of snapshot.sealed) {
      const block = this.coding.decode(bytes);
      next.adopt(bytes, block.rows);
      transactions += block.rows.length;
      sizeBytes += block.sizeBytes;
      if (transactions < STEP_TRANSACTIONS && sizeBytes < STEP_BYTES) continue;
      yield;
      [transactions, sizeBytes] = [0, 0];
    }
    for (const transaction of snapshot.recent) next.remember(transaction);
    this.become(next);
  }

  /** Takes everything over from another one, which nobody uses any more. */
  private become(other: CompressedEndedTransactions): void {
    this.recent = other.recent;
    this.recentSizeBytes = other.recentSizeBytes;
    this.recentById = other.recentById;
    this.recentByKey = other.recentByKey;
    this.blocks = other.blocks;
    this.decoded = other.decoded;
    this.ids = other.ids;
    this.keys = other.keys;
    this.lastBlock = other.lastBlock;
    this.sealedCount = other.sealedCount;
    this.sealedKeyCount = other.sealedKeyCount;
  }

  private remember(transaction: TransactionState): void {
    this.recent.push(transaction);
    this.recentSizeBytes += roughJsonSize(transaction);
    this.recentById.set(transaction.transactionId, transaction);
    for (const { key } of transaction.claims) this.recentByKey.set(key, transaction);
  }

  private forgetRecent(): void {
    this.recentSizeBytes = 0;
    this.recent = []; // not emptied in place: a walk or a snapshot may still hold the old list
    this.recentById.clear();
    this.recentByKey.clear();
  }

  private adopt(bytes: Uint8Array, entries: readonly Entry[]): void {
    const number = ++this.lastBlock;
    let [minimumId, maximumId, oldestEndedAt, newestEndedAt, keyCount] = ['', '', Infinity, -Infinity, 0];
    for (const { id, endedAt, keys } of entries) {
      if (minimumId === '' || id < minimumId) minimumId = id;
      if (id > maximumId) maximumId = id;
      oldestEndedAt = Math.min(oldestEndedAt, endedAt);
      newestEndedAt = Math.max(newestEndedAt, endedAt);
      keyCount += keys.length;
    }
    const size = entries.length;
    this.blocks.set(number, {
      number,
      bytes,
      size,
      keyCount,
      minimumId,
      maximumId,
      oldestEndedAt,
      newestEndedAt,
    });
    this.sealedCount += size;
    this.sealedKeyCount += keyCount;
    for (const { id, keys } of entries) {
      this.ids.add(id, number);
      for (const key of keys) this.keys.add(key, number);
    }
  }

  /** The newest one that matches: a key may have been given again. */
  private search(
    index: BlockIndex,
    text: string,
    matches: (row: ArchivedRow) => boolean,
  ): TransactionState | undefined {
    for (const number of index.candidates(text).sort((a, b) => b - a)) {
      const row = this.decode(this.blocks.get(number)!).rows.findLast(matches);
      if (row) return row.read();
    }
    return undefined;
  }

  private decode(block: SealedBlock): DecodedBlock {
    const decoded = this.decoded.get(block) ?? this.coding.decode(block.bytes);
    this.decoded.delete(block);
    if (!this.blocks.has(block.number)) return decoded; // dropped while a walk was on its way through it
    this.decoded.set(block, decoded);
    if (this.decoded.size > this.decodedLimit) {
      for (const leastRecent of this.decoded.keys()) {
        this.decoded.delete(leastRecent);
        break;
      }
    }
    return decoded;
  }

  private cursorOfBlock(block: SealedBlock, belowId: TransactionId | undefined): Cursor {
    return cursorOf(this.decode(block).rows, belowId, (row) => this.decode(block).rows[row]!.read());
  }
}

/** What the index needs of a transaction. */
type Entry = Omit<ArchivedRow, 'read'>;

function entryOf(transaction: TransactionState): Entry {
  return {
    id: transaction.transactionId,
    keys: transaction.claims.map(({ key }) => key),
    endedAt: endOf(transaction),
  };
}

function endOf({ endedAt }: TransactionState): number {
  invariant(endedAt !== undefined, 'only ended transactions are archived');
  return endedAt;
}

function cursorOf(
  entries: readonly { readonly id: TransactionId }[],
  belowId: TransactionId | undefined,
  read: (row: number) => TransactionState,
): Cursor {
  const rows = entries
    .map(({ id }, row) => ({ id, row }))
    .filter(({ id }) => belowId === undefined || id < belowId)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  return { rows, read };
}

/** The id that a cursor gives next; an empty text, below every id, when it is at its end. */
function nextId(cursor: Cursor | undefined): TransactionId {
  return cursor?.rows.at(-1)?.id ?? '';
}
