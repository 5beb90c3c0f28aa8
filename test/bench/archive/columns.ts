import type { JsonValue } from '@concordat/foundation';

/** A text or a number: what differs from one transaction to the next. */
export type Leaf = string | number;

/**
 * The values that one place of a shape has in all rows of a block, in the form in which they compress best.
 * `uuid` and `hex` keep their random bytes outside the compressed text, where they would only grow.
 */
export type Column =
  | { readonly kind: 'constant'; readonly value: Leaf }
  | { readonly kind: 'plain'; readonly values: readonly Leaf[] }
  /** integers, each as the difference to the one before it */
  | { readonly kind: 'steps'; readonly steps: readonly number[] }
  /** UUIDs: their first 48 bits as steps (the time, in version 7), the other 80 as bytes */
  | { readonly kind: 'uuid'; readonly steps: readonly number[] }
  /** hexadecimal texts of one length */
  | { readonly kind: 'hex'; readonly sizeBytes: number; readonly count: number };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const HEX = /^(?:[0-9a-f]{2}){8,64}$/;
const PLAIN_KEY = /^\w+$/;
const UUID_TAIL_BYTES = 10;
/** differences of two integers below it are exact */
const EXACT_LIMIT = 2 ** 52;

/** Chooses the form of a column; bytes that do not compress are appended to `raw`. */
export function encodeColumn(values: readonly Leaf[], raw: Buffer[]): Column {
  const [first] = values;
  if (first !== undefined && values.every((value) => value === first)) return { kind: 'constant', value: first };
  if (values.every(isExactInteger)) {
    const steps = stepsOf(values);
    return sumOf(steps) < sumOf(values) ? { kind: 'steps', steps } : { kind: 'plain', values };
  }
  if (!values.every((value) => typeof value === 'string')) return { kind: 'plain', values };
  if (values.every((value) => UUID.test(value))) return encodeUuids(values, raw);
  const { length } = values[0]!;
  if (values.every((value) => value.length === length && HEX.test(value))) {
    for (const value of values) raw.push(Buffer.from(value, 'hex'));
    return { kind: 'hex', sizeBytes: length / 2, count: values.length };
  }
  return { kind: 'plain', values };
}

/** Bytes that a column has in the raw part of its block. */
export function rawSizeBytes(column: Column): number {
  if (column.kind === 'uuid') return column.steps.length * UUID_TAIL_BYTES;
  return column.kind === 'hex' ? column.count * column.sizeBytes : 0;
}

/** The values of a column again. @param raw its bytes of the raw part */
export function decodeColumn(column: Column, rows: number, raw: Buffer): readonly Leaf[] {
  switch (column.kind) {
    case 'constant':
      return new Array<Leaf>(rows).fill(column.value);
    case 'plain':
      return column.values;
    case 'steps':
      return runningSum(column.steps);
    case 'uuid':
      return runningSum(column.steps).map((head, row) => {
        const tail = raw.toString('hex', row * UUID_TAIL_BYTES, (row + 1) * UUID_TAIL_BYTES);
        const hex = head.toString(16).padStart(12, '0');
        return `${hex.slice(0, 8)}-${hex.slice(8)}-${tail.slice(0, 4)}-${tail.slice(4, 8)}-${tail.slice(8)}`;
      });
    case 'hex':
      return Array.from({ length: rows }, (_, row) =>
        raw.toString('hex', row * column.sizeBytes, (row + 1) * column.sizeBytes),
      );
  }
}

/**
 * The shape of a value: its JSON with `0` in the place of every text and number, which are put into `leaves` in
 * the order of the JSON text. Fields that are undefined are left out.
 */
export function shapeOf(value: unknown, leaves: Leaf[]): string {
  if (typeof value === 'string' || typeof value === 'number') {
    leaves.push(value);
    return '0';
  }
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  let text = '';
  if (Array.isArray(value)) {
    for (const item of value) text += (text ? ',' : '') + shapeOf(item, leaves);
    return `[${text}]`;
  }
  for (const key of Object.keys(value)) {
    const item = (value as Readonly<Record<string, unknown>>)[key];
    if (item !== undefined) text += `${text ? ',' : ''}${quoted(key)}:${shapeOf(item, leaves)}`;
  }
  return `{${text}}`;
}

/** As JSON, which for the names of the protocol's own fields is nothing but quotes around them. */
function quoted(key: string): string {
  return PLAIN_KEY.test(key) ? `"${key}"` : JSON.stringify(key);
}

/** A shape as a value again, with the ordinal of its leaf in the place of every text and number. */
export function templateOf(shape: string): JsonValue {
  let ordinal = 0;
  return JSON.parse(shape, (_key, value: JsonValue) => (typeof value === 'number' ? ordinal++ : value)) as JsonValue;
}

/** A copy of a template with its leaves filled in. */
export function fillTemplate(template: JsonValue, leafAt: (ordinal: number) => Leaf): JsonValue {
  if (typeof template === 'number') return leafAt(template);
  if (template === null || typeof template !== 'object') return template;
  if (Array.isArray(template)) return template.map((item: JsonValue) => fillTemplate(item, leafAt));
  // not by assignment: a payload may have a field that is called `__proto__`
  return Object.fromEntries(Object.entries(template).map(([key, item]) => [key, fillTemplate(item, leafAt)]));
}

function encodeUuids(values: readonly string[], raw: Buffer[]): Column {
  const heads = values.map((value) => {
    raw.push(Buffer.from(value.slice(14, 18) + value.slice(19, 23) + value.slice(24), 'hex'));
    return Number.parseInt(value.slice(0, 8) + value.slice(9, 13), 16);
  });
  return { kind: 'uuid', steps: stepsOf(heads) };
}

function isExactInteger(value: Leaf): value is number {
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < EXACT_LIMIT;
}

function stepsOf(values: readonly number[]): number[] {
  return values.map((value, row) => value - (values[row - 1] ?? 0));
}

function runningSum(steps: readonly number[]): number[] {
  let sum = 0;
  return steps.map((step) => (sum += step));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + Math.abs(value), 0);
}
