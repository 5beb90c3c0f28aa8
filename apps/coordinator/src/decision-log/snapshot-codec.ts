import { codedError } from '@concordat/foundation';
import type { DecisionStateSnapshot, FrozenState, TransactionState } from '@concordat/commit-protocol';
import type { EndedTransactionsSnapshot } from './ended-archive.js';

/**
 * A snapshot of the decision log: magic, sections, and an empty section at the end. A section is its kind (1 byte), its
 * length (4 bytes, big-endian) and its content: some transactions as a JSON array, in order; a sealed block of the
 * archive, unchanged; or everything else as one JSON object.
 */
const MAGIC = Buffer.from('CDS3');
const HEADER_BYTES = 5;

const KIND = { end: 0, remainder: 1, open: 2, unpublished: 3, recent: 4, sealed: 5 } as const;
type Kind = keyof typeof KIND;
const KIND_BY_CODE = new Map<number, Kind>(Object.entries(KIND).map(([kind, code]) => [code, kind as Kind]));

/** A piece has at most this many transactions. It ends after the transaction or block that reaches this size. */
export const PIECE_TRANSACTIONS = 256;
export const PIECE_BYTES = 256 * 1024;

/** A snapshot that this version cannot read. */
export class SnapshotDecodeError extends codedError('SNAPSHOT_UNREADABLE') {}

/** Makes one piece per step, in 1 to 2 ms; a transaction of a megabyte takes some 10 ms. */
export function* encodeSnapshot(
  state: Pick<FrozenState, 'open' | 'unpublished' | 'remainder'>,
  archive: EndedTransactionsSnapshot,
): Generator<Uint8Array, void> {
  yield MAGIC;
  yield section('remainder', Buffer.from(JSON.stringify(state.remainder)));
  yield* encodeTransactions('open', state.open());
  yield* encodeTransactions('unpublished', state.unpublished());
  yield* encodeBlocks(archive.sealed);
  yield* encodeTransactions('recent', archive.recent);
  yield section('end', Buffer.alloc(0));
}

function* encodeTransactions(kind: Kind, transactions: Iterable<TransactionState>): Iterable<Uint8Array> {
  let texts: string[] = [];
  let length = 0;
  for (const transaction of transactions) {
    const text = JSON.stringify(transaction);
    texts.push(text);
    length += text.length;
    if (texts.length < PIECE_TRANSACTIONS && length < PIECE_BYTES) continue;
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
  const sealed: Uint8Array[] = [];
  let remainder: FrozenState['remainder'] | undefined;
  for (const { kind, content } of sectionsOf(data)) {
    if (kind === 'sealed') {
      sealed.push(content);
      continue;
    }
    if (kind === 'remainder') remainder = parse<FrozenState['remainder']>(content);
    else for (const transaction of parse<TransactionState[]>(content)) transactions[kind].push(transaction);
    yield;
  }
  if (!remainder) throw new SnapshotDecodeError('the snapshot lacks a section');
  const { open, unpublished, recent } = transactions;
  return { state: { open, unpublished, ...remainder }, archive: { sealed, recent } };
}

/** The sections without the end section. Checks that it is there. */
function* sectionsOf(data: Uint8Array): Iterable<{ kind: Exclude<Kind, 'end'>; content: Uint8Array }> {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new SnapshotDecodeError('the snapshot has another format than this version reads');
  }
  for (let offset = MAGIC.length; ;) {
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
