/**
 * What an answer of a coordinator must look like, as data: `mismatch` checks values by it, and a test compares it with
 * the coordinator's OpenAPI document.
 */
export type ShapeData =
  | { readonly kind: 'text' | 'uuid' | 'time' | 'integer' | 'number' | 'boolean' | 'json' }
  /** `open`: a newer coordinator may have further values, which are let through */
  | { readonly kind: 'values'; readonly values: readonly string[]; readonly open: boolean }
  | { readonly kind: 'nullable' | 'optional' | 'list' | 'record'; readonly of: ShapeData }
  | { readonly kind: 'object'; readonly fields: Readonly<Record<string, ShapeData>> };

declare const TYPE: unique symbol;

/** A shape of values of type `T`. */
export type Shape<T> = ShapeData & { readonly [TYPE]?: T };

/** A value that is usually one of these; a newer coordinator may have others. */
export type Open<T extends string> = T | (string & Record<never, never>);

export const text: Shape<string> = { kind: 'text' };
export const uuid: Shape<string> = { kind: 'uuid' };
export const time: Shape<string> = { kind: 'time' };
export const integer: Shape<number> = { kind: 'integer' };
export const number: Shape<number> = { kind: 'number' };
export const boolean: Shape<boolean> = { kind: 'boolean' };

export function json<T>(): Shape<T> {
  return { kind: 'json' };
}

export function values<const T extends string>(...list: readonly T[]): Shape<T> {
  return { kind: 'values', values: list, open: false };
}

export function openValues<const T extends string>(...list: readonly T[]): Shape<Open<T>> {
  return { kind: 'values', values: list, open: true };
}

export function nullable<T>(of: Shape<T>): Shape<T | null> {
  return { kind: 'nullable', of };
}

export function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return { kind: 'optional', of };
}

export function list<T>(of: Shape<T>): Shape<readonly T[]> {
  return { kind: 'list', of };
}

export function record<T>(of: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return { kind: 'record', of };
}

export function object<T>(fields: { readonly [Name in keyof T]-?: Shape<T[Name]> }): Shape<T> {
  return { kind: 'object', fields };
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** How a value differs from a shape, with the place, or undefined. Further fields are let through. */
export function mismatch(shape: ShapeData, value: unknown, place: string): string | undefined {
  switch (shape.kind) {
    case 'json':
      return value === undefined ? `${place} is missing` : undefined;
    case 'text':
      return expectIf(typeof value === 'string', 'a text', value, place);
    case 'uuid':
      return expectIf(typeof value === 'string' && UUID.test(value), 'a UUID', value, place);
    case 'time':
      return expectIf(typeof value === 'string' && isTime(value), 'a time in ISO 8601', value, place);
    case 'integer':
      return expectIf(Number.isSafeInteger(value), 'a whole number', value, place);
    case 'number':
      return expectIf(typeof value === 'number', 'a number', value, place);
    case 'boolean':
      return expectIf(typeof value === 'boolean', 'true or false', value, place);
    case 'values': {
      const { open, values: known } = shape;
      const fits = typeof value === 'string' && (open || known.includes(value));
      return expectIf(fits, open ? 'a text' : `one of ${known.join(', ')}`, value, place);
    }
    case 'nullable':
      return value === null ? undefined : mismatch(shape.of, value, place);
    case 'optional':
      return value === undefined ? undefined : mismatch(shape.of, value, place);
    case 'list':
      return listMismatch(shape.of, value, place);
    case 'record':
      return recordMismatch(shape.of, value, place);
    case 'object':
      return objectMismatch(shape.fields, value, place);
  }
}

function isTime(value: string): boolean {
  return TIME.test(value) && !Number.isNaN(Date.parse(value));
}

function listMismatch(of: ShapeData, value: unknown, place: string): string | undefined {
  if (!Array.isArray(value)) return expected('a list', value, place);
  for (const [index, item] of value.entries()) {
    const found = mismatch(of, item, `${place}[${index}]`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function objectMismatch(
  fields: Readonly<Record<string, ShapeData>>,
  value: unknown,
  place: string,
): string | undefined {
  if (!isRecord(value)) return expected('an object', value, place);
  for (const [name, shape] of Object.entries(fields)) {
    const child = Object.hasOwn(value, name) ? value[name] : undefined;
    const found = mismatch(shape, child, `${place}.${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function recordMismatch(of: ShapeData, value: unknown, place: string): string | undefined {
  if (!isRecord(value)) return expected('an object', value, place);
  for (const [name, child] of Object.entries(value)) {
    const found = mismatch(of, child, `${place}.${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function expectIf(fits: boolean, what: string, value: unknown, place: string): string | undefined {
  return fits ? undefined : expected(what, value, place);
}

/** Says what kind of value was found, never the value: it may be secret, or long. */
function expected(what: string, value: unknown, place: string): string {
  const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;
  return value === undefined ? `${place} is missing` : `${place} must be ${what} (found: ${found})`;
}
