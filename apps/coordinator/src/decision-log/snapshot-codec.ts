import { codedError } from '@concordat/foundation';
import type { DecisionStateSnapshot, FrozenState, LockLease, TransactionState } from '@concordat/commit-protocol';
import type { EndedTransactionsSnapshot } from './ended-archive.js';

/**
 * A snapshot of the decision log: magic, sections, and an empty section at the end. A section is its kind (1 byte), its
 * length (4 bytes, big-endian) and its content: some transactions or leases as a JSON array, in order; a sealed block of
 * the archive, unchanged; or everything else as one JSON object.
 *
 * The magic is the version. Only a snapshot with leases is of the version that has them, so a group whose members are
 * upgraded one after the other can exchange snapshots until its first lock.
 */
const MAGIC_BYTES = 4;
const MAGIC_WITHOUT_LOCKS = Buffer.from('CDS3');
const MAGIC_WITH_LOCKS = Buffer.from('CDS4');
const HEADER_BYTES = 5;

const KIND = { end: 0, remainder: 1, open: 2, unpublished: 3, recent: 4, sealed: 5, locks: 6 } as const;
type Kind = keyof typeof KIND;
const KIND_BY_CODE = new Map<number, Kind>(Object.entries(KIND).map(([kind, code]) => [code, kind as Kind]));

/** A piece has at most this many transactions, or leases. It ends after the one or the block that reaches this size. */
export const PIECE_ITEMS = 256;
export const PIECE_BYTES = 256 * 1024;

/** A snapshot that this version cannot read. */
export class SnapshotDecodeError extends codedError('SNAPSHOT_UNREADABLE') {}

/** Makes one piece per step, in 1 to 2 ms; a transaction of a megabyte takes some 10 ms. */
export function* encodeSnapshot(
  state: Pick<FrozenState, 'open' | 'unpublished' | 'locks' | 'remainder'>,
  archive: EndedTransactionsSnapshot,
): Generator<Uint8Array, void> {
  yield state.locks.length > 0 ? MAGIC_WITH_LOCKS : MAGIC_WITHOUT_LOCKS;
  yield section('remainder', Buffer.from(JSON.stringify(state.remainder)));
  yield* encodeItems('open', state.open());
  yield* encodeItems('unpublished', state.unpublished());
  yield* encodeItems('locks', state.locks);
  yield* encodeBlocks(archive.sealed);
  yield* encodeItems('recent', archive.recent);
  yield section('end', Buffer.alloc(0));
}

function* encodeItems(kind: Kind, items: Iterable<TransactionState | LockLease>): Iterable<Uint8Array> {
  let texts: string[] = [];
  let length = 0;
  for (const item of items) {
    const text = JSON.stringify(item);
    texts.push(text);
    length += text.length;
    if (texts.length < PIECE_ITEMS && length < PIECE_BYTES) continue;
    yield section(kind, Buffer.from(`[${texts.join(',')}]`));
    texts = [];
    length = 0;
  }
  if (texts.length > 0) yield section(kind, Buffer.from(`[${texts.join(',')}]`));
}

function* encodeBlocks(blocks: Iterable<Uint8Array>): Iterable<Uint8Array> {
  let sections: Uint8Array[] = [];
  let length = 0;
  for (const block of blocks) {
    sections.push(section('sealed', block));
    length += block.length;
    if (length < PIECE_BYTES) continue;
    yield Buffer.concat(sections);
    sections = [];
    length = 0;
  }
  if (sections.length > 0) yield Buffer.concat(sections);
}

function section(kind: Kind, content: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + content.length);
  bytes[0] = KIND[kind];
  bytes.writeUInt32BE(content.length, 1);
  bytes.set(content, HEADER_BYTES);
  return bytes;
}

export interface DecodedSnapshot {
  readonly state: DecisionStateSnapshot;
  readonly archive: EndedTransactionsSnapshot;
}

/**
 * Decodes one section per step. Sealed blocks are not copied: they keep `data` in memory.
 *
 * @throws SnapshotDecodeError
 */
export function* decodeSnapshot(data: Uint8Array): Generator<void, DecodedSnapshot> {
  const transactions: Record<'open' | 'unpublished' | 'recent', TransactionState[]> = {
    open: [],
    unpublished: [],
    recent: [],
  };
  const locks: LockLease[] = [];
  const sealed: Uint8Array[] = [];
  let remainder: FrozenState['remainder'] | undefined;
  for (const { kind, content } of sectionsOf(data)) {
    if (kind === 'sealed') {
      sealed.push(content);
      continue;
    }
    if (kind === 'remainder') remainder = parse<FrozenState['remainder']>(content);
    else if (kind === 'locks') for (const lease of parse<LockLease[]>(content)) locks.push(lease);
    else for (const transaction of parse<TransactionState[]>(content)) transactions[kind].push(transaction);
    yield;
  }
  if (!remainder) throw new SnapshotDecodeError('the snapshot lacks a section');
  const { open, unpublished, recent } = transactions;
  return { state: { open, unpublished, locks, ...remainder }, archive: { sealed, recent } };
}

/** The sections without the end section. Checks that it is there. */
function* sectionsOf(data: Uint8Array): Iterable<{ kind: Exclude<Kind, 'end'>; content: Uint8Array }> {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const magic = bytes.subarray(0, MAGIC_BYTES);
  if (!magic.equals(MAGIC_WITHOUT_LOCKS) && !magic.equals(MAGIC_WITH_LOCKS)) {
    throw new SnapshotDecodeError('the snapshot has another format than this version reads');
  }
  for (let offset = MAGIC_BYTES; ;) {
    if (offset + HEADER_BYTES > bytes.length) throw new SnapshotDecodeError('the snapshot is cut short');
    const kind = KIND_BY_CODE.get(bytes[offset]!);
    const start = offset + HEADER_BYTES;
    const end = start + bytes.readUInt32BE(offset + 1);
    if (end > bytes.length) throw new SnapshotDecodeError('the snapshot is cut short');
    if (kind === undefined) throw new SnapshotDecodeError('the snapshot has a section of an unknown kind');
    if (kind === 'end') {
      if (end !== bytes.length) throw new SnapshotDecodeError('the snapshot has bytes after its end');
      return;
    }
    yield { kind, content: bytes.subarray(start, end) };
    offset = end;
  }
}

function parse<Value>(content: Uint8Array): Value {
  try {
    return JSON.parse(Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8')) as Value;
  } catch (cause) {
    throw new SnapshotDecodeError('the snapshot is not valid JSON', { cause });
  }
}
