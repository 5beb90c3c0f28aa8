import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { TransactionId, TransactionState } from '@concordat/commit-protocol';
import type { JsonValue } from '@concordat/foundation';
import { CorruptArchiveBlockError, type ArchivedRow, type BlockCoding } from '../../../apps/coordinator/src/index.js';
import {
  decodeColumn,
  encodeColumn,
  fillTemplate,
  rawSizeBytes,
  shapeOf,
  templateOf,
  type Column,
  type Leaf,
} from './columns.js';

const FORMAT = 1;
const HEADER_BYTES = 5;
/** the columns leave little to find, so the fastest level costs 1 % in size and half the time of level 6 */
const COMPRESSION_LEVEL = 3;

/** The compressed part of a block. */
interface BlockText {
  readonly shapes: readonly string[];
  /** shape of every row */
  readonly shapeOfRow: readonly number[];
  /** columns of every shape */
  readonly columns: readonly (readonly Column[])[];
}

/** The coordinator's coding until its blocks became JSON columns: each kind of column has a form of its own. */
export const typedColumns: BlockCoding = {
  encode: encodeBlock,
  decode: (bytes) => {
    const block = new ColumnBlock(bytes);
    return { rows: Array.from({ length: block.size }, (_, row) => new Row(block, row)), sizeBytes: block.sizeBytes };
  },
};

/** Decodes columns when they are asked for. */
class Row implements ArchivedRow {
  constructor(
    private readonly block: ColumnBlock,
    private readonly row: number,
  ) {}

  get id(): TransactionId {
    return this.block.idAt(this.row);
  }

  get endedAt(): number {
    return this.block.endedAt(this.row);
  }

  get keys(): string[] {
    return this.block.keysAt(this.row);
  }

  read(): TransactionState {
    return this.block.transactionAt(this.row);
  }
}

/**
 * Transactions as bytes: format (1 byte), size of the compressed part (4, big-endian), compressed part, raw part.
 * Rows of equal shape are turned into columns.
 */
function encodeBlock(transactions: readonly TransactionState[]): Uint8Array {
  const shapes = new Map<string, { ordinal: number; rows: Leaf[][] }>();
  const shapeOfRow = transactions.map((transaction) => {
    const leaves: Leaf[] = [];
    const text = shapeOf(transaction, leaves);
    let shape = shapes.get(text);
    if (!shape) shapes.set(text, (shape = { ordinal: shapes.size, rows: [] }));
    shape.rows.push(leaves);
    return shape.ordinal;
  });
  const raw: Buffer[] = [];
  const columns = [...shapes.values()].map(({ rows }) =>
    rows[0]!.map((_, place) =>
      encodeColumn(
        rows.map((leaves) => leaves[place]!),
        raw,
      ),
    ),
  );
  const text: BlockText = { shapes: [...shapes.keys()], shapeOfRow, columns };
  const compressed = deflateRawSync(JSON.stringify(text), { level: COMPRESSION_LEVEL });
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(FORMAT);
  header.writeUInt32BE(compressed.length, 1);
  const parts = [header, compressed, ...raw];
  // of exactly this size: a pooled buffer or zlib's own would hold many times as much
  const block = new Uint8Array(parts.reduce((sizeBytes, part) => sizeBytes + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    block.set(part, offset);
    offset += part.length;
  }
  return block;
}

/** A block that is readable: columns are decoded when they are asked for, rows too. */
class ColumnBlock {
  readonly size: number;
  /** of its text, decompressed, and of what stands beside it */
  readonly sizeBytes: number;
  private readonly shapes: readonly DecodedShape[];
  private readonly shapeOfRow: readonly number[];
  /** place of each row among those of its shape */
  private readonly rowInShape: readonly number[];

  /** @throws CorruptArchiveBlockError */
  constructor(bytes: Uint8Array) {
    const { text, raw, sizeBytes } = readParts(bytes);
    this.sizeBytes = sizeBytes;
    this.shapeOfRow = text.shapeOfRow;
    this.size = text.shapeOfRow.length;
    const counts = text.shapes.map(() => 0);
    this.rowInShape = text.shapeOfRow.map((shape) => counts[shape]!++);
    let offset = 0;
    this.shapes = text.shapes.map((shape, ordinal) => {
      const decoded = new DecodedShape(shape, text.columns[ordinal] ?? [], counts[ordinal]!, raw, offset);
      offset += decoded.rawSizeBytes;
      return decoded;
    });
    if (offset !== raw.length) throw new CorruptArchiveBlockError('a block of ended transactions has a wrong size');
  }

  idAt(row: number): TransactionId {
    return String(this.shapeAt(row).leaf(this.shapeAt(row).idPlace, this.rowInShape[row]!));
  }

  endedAt(row: number): number {
    return Number(this.shapeAt(row).leaf(this.shapeAt(row).endedAtPlace, this.rowInShape[row]!));
  }

  /** Idempotency keys of a row. */
  keysAt(row: number): string[] {
    const shape = this.shapeAt(row);
    return shape.keyPlaces.map((place) => String(shape.leaf(place, this.rowInShape[row]!)));
  }

  transactionAt(row: number): TransactionState {
    return this.shapeAt(row).fill(this.rowInShape[row]!) as unknown as TransactionState;
  }

  private shapeAt(row: number): DecodedShape {
    return this.shapes[this.shapeOfRow[row]!]!;
  }
}

/** The parts of a transaction that the index needs, as places of their leaves. */
interface TransactionTemplate {
  readonly transactionId: number;
  readonly endedAt: number;
  readonly claims: readonly { readonly key: number }[];
}

class DecodedShape {
  readonly idPlace: number;
  readonly endedAtPlace: number;
  readonly keyPlaces: readonly number[];
  readonly rawSizeBytes: number;
  private readonly template: JsonValue;
  private readonly offsets: readonly number[];
  private readonly decoded: (readonly Leaf[] | undefined)[] = [];

  constructor(
    shape: string,
    private readonly columns: readonly Column[],
    private readonly rows: number,
    private readonly raw: Buffer,
    offset: number,
  ) {
    this.template = templateOf(shape);
    const places = this.template as unknown as TransactionTemplate;
    this.idPlace = places.transactionId;
    this.endedAtPlace = places.endedAt;
    this.keyPlaces = places.claims.map(({ key }) => key);
    let end = offset;
    this.offsets = columns.map((column) => (end += rawSizeBytes(column)) - rawSizeBytes(column));
    this.rawSizeBytes = end - offset;
  }

  leaf(place: number, row: number): Leaf {
    let values = this.decoded[place];
    if (!values) {
      const column = this.columns[place]!;
      const start = this.offsets[place]!;
      values = decodeColumn(column, this.rows, this.raw.subarray(start, start + rawSizeBytes(column)));
      this.decoded[place] = values;
    }
    return values[row]!;
  }

  fill(row: number): JsonValue {
    return fillTemplate(this.template, (place) => this.leaf(place, row));
  }
}

function readParts(bytes: Uint8Array): { text: BlockText; raw: Buffer; sizeBytes: number } {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (block.length < HEADER_BYTES || block.readUInt8() !== FORMAT) {
    throw new CorruptArchiveBlockError('a block of ended transactions has no known format');
  }
  const end = HEADER_BYTES + block.readUInt32BE(1);
  if (end > block.length) throw new CorruptArchiveBlockError('a block of ended transactions is cut off');
  try {
    const inflated = inflateRawSync(block.subarray(HEADER_BYTES, end));
    const raw = block.subarray(end);
    return { text: JSON.parse(inflated.toString()) as BlockText, raw, sizeBytes: inflated.length + raw.length };
  } catch (cause) {
    throw new CorruptArchiveBlockError('a block of ended transactions cannot be decompressed', { cause });
  }
}
