import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import type { TransactionId, TransactionState } from '@concordat/commit-protocol';
import { codedError, roughJsonSize, type JsonValue } from '@concordat/foundation';

/** A block of ended transactions, from a snapshot, that cannot be read: the node must not go on with it. */
export class CorruptArchiveBlockError extends codedError('CORRUPT_ARCHIVE_BLOCK') {}

/** How a block of ended transactions becomes bytes, and is read again. Equal input must give equal content. */
export interface BlockCoding {
  encode(transactions: readonly TransactionState[]): Uint8Array;
  /** @throws CorruptArchiveBlockError */
  decode(bytes: Uint8Array): DecodedBlock;
}

export interface DecodedBlock {
  /** in the order in which they were encoded */
  readonly rows: readonly ArchivedRow[];
  /** of the decompressed text */
  readonly sizeBytes: number;
}

/** A transaction of a block: what the index needs at once, all of it when it is read. */
export interface ArchivedRow {
  readonly id: TransactionId;
  readonly endedAt: number;
  /** idempotency keys */
  readonly keys: readonly string[];
  read(): TransactionState;
}

/** With 5, blocks are hardly smaller, and a transaction of a megabyte blocks the event loop for 75 ms instead of 35. */
const BROTLI_QUALITY = 4;
/** Larger branches are stored as one value, because the event loop waits while a block is split into its values. */
const LARGE_BRANCHES_BYTES = 16 * 1024;
const PLACEHOLDER = 0;
const OWN_PROPERTY = { enumerable: true, configurable: true, writable: true } as const;

/** What is compressed, as JSON. */
interface BlockText {
  /** of every row, its place in `shapes` */
  readonly shapeOfRow: readonly number[];
  readonly shapes: readonly Shape[];
}

/** Transactions that differ in their values only. */
interface Shape {
  /** one of them as JSON, with the placeholder for every value */
  readonly json: string;
  /** the values of all of them: a column for each placeholder, in the order of the JSON text */
  readonly columns: readonly (readonly JsonValue[])[];
}

/**
 * Compressed JSON. Transactions with the same fields share their names; their values are stored by column, because
 * similar values compress best next to each other.
 */
export const jsonColumns: BlockCoding = {
  encode: (transactions) => {
    const text = JSON.stringify(textOf(transactions));
    const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };
    return new Uint8Array(brotliCompressSync(text, { params })); // a copy: zlib's own buffer is many times as large
  },
  decode: (bytes) => {
    try {
      const text = brotliDecompressSync(bytes);
      return { rows: rowsOf(JSON.parse(text.toString()) as BlockText), sizeBytes: text.length };
    } catch (cause) {
      throw new CorruptArchiveBlockError('a block of ended transactions cannot be read', { cause });
    }
  },
};

function textOf(transactions: readonly TransactionState[]): BlockText {
  const shapes = new Map<
    string,
    { readonly ordinal: number; readonly json: string; readonly columns: JsonValue[][] }
  >();
  const shapeOfRow = transactions.map((transaction) => {
    const { json, values } = split(transaction);
    const shape = shapes.get(json) ?? { ordinal: shapes.size, json, columns: values.map(() => []) };
    shapes.set(json, shape);
    for (const [place, value] of values.entries()) shape.columns[place]!.push(value);
    return shape.ordinal;
  });
  return { shapeOfRow, shapes: Array.from(shapes.values(), ({ json, columns }) => ({ json, columns })) };
}

function rowsOf({ shapes, shapeOfRow }: BlockText): ArchivedRow[] {
  const decoded = shapes.map(({ json, columns }) => {
    const template = JSON.parse(json) as JsonValue;
    return { template, columns, places: placesIn(template), rows: 0 };
  });
  const rows = shapeOfRow.map((ordinal) => {
    const shape = decoded[ordinal]!;
    const row = shape.rows++;
    const value = (place: number): JsonValue => shape.columns[place]![row]!;
    const { transactionId, endedAt, claims } = shape.places;
    return {
      id: String(value(transactionId)),
      endedAt: Number(value(endedAt)),
      keys: claims.map(({ key }) => String(value(key))),
      read: () => {
        let place = 0;
        return fill(shape.template, () => value(place++)) as unknown as TransactionState;
      },
    };
  });
  for (const { columns, rows: count } of decoded) {
    if (columns.some(({ length }) => length !== count)) throw new Error('a column is too long or too short');
  }
  return rows;
}

/** The JSON of a transaction with placeholders, and its values in the order of the text. */
function split(transaction: TransactionState): { json: string; values: JsonValue[] } {
  const values: JsonValue[] = [];
  return { json: shapeOf('', transaction as unknown as JsonValue, values), values };
}

/** What `JSON.stringify` writes with a placeholder for every value, in half of the time that it takes with a replacer. */
function shapeOf(field: string, value: JsonValue, values: JsonValue[]): string {
  if (isValue(field, value)) {
    values.push(value);
    return String(PLACEHOLDER);
  }
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => shapeOf('', item, values)).join(',')}]`;
  let text = '';
  for (const name of Object.keys(value)) {
    const item = (value as Readonly<Record<string, JsonValue | undefined>>)[name];
    if (item !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${shapeOf(name, item, values)}`;
  }
  return `{${text}}`;
}

function isValue(field: string, value: JsonValue): boolean {
  if (typeof value === 'string' || typeof value === 'number') return true;
  return field === 'branches' && roughJsonSize(value) > LARGE_BRANCHES_BYTES;
}

/**
 * The other way: the placeholders of a parsed shape come in the order in which `shapeOf` met the values. Some ten times as
 * fast as JSON.parse with a reviver.
 */
function fill(template: JsonValue, nextValue: () => JsonValue): JsonValue {
  if (template === PLACEHOLDER) return nextValue();
  if (typeof template !== 'object' || template === null) return template;
  if (Array.isArray(template)) return template.map((item: JsonValue) => fill(item, nextValue));
  const filled: Record<string, JsonValue> = {};
  for (const [name, item] of Object.entries(template as Readonly<Record<string, JsonValue>>)) {
    const value = fill(item, nextValue);
    if (name === '__proto__') Object.defineProperty(filled, name, { ...OWN_PROPERTY, value });
    else filled[name] = value;
  }
  return filled;
}

/** The places of the values that the index needs. */
function placesIn(template: JsonValue) {
  let place = 0;
  return fill(template, () => place++) as unknown as {
    readonly transactionId: number;
    readonly endedAt: number;
    readonly claims: readonly { readonly key: number }[];
  };
}
