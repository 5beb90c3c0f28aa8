/**
 * The approximate size of a value's JSON text in bytes, without writing it: escapes, digits of numbers and characters
 * beyond ASCII count as one byte each. It reads only the length of a text, so it is much faster than writing. Depends
 * on the value alone: every node gets the same.
 */
export function roughJsonSize(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return value.length + 2;
    case 'number':
      return 8;
    case 'boolean':
      return 5;
    case 'object':
      return value === null ? 4 : sizeOfObject(value);
    default:
      return 0;
  }
}

/** A number takes 24 characters at most, as in -1.7976931348623157e+308. */
const LONGEST_NUMBER = 24;
/** An escaped unit of UTF-16, as in \u001f; no unit takes more bytes of UTF-8. */
const LONGEST_UNIT = 6;

/**
 * A bound on the bytes of the JSON text of a value from `JSON.parse`: never less, and several times more for texts. It
 * reads only the length of a text, so what is clearly small need not be written to be measured.
 */
export function jsonSizeBound(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return LONGEST_UNIT * value.length + 2;
    case 'number':
      return LONGEST_NUMBER;
    case 'object':
      return value === null ? 4 : boundOfObject(value);
    default:
      return 5;
  }
}

function boundOfObject(value: object): number {
  let size = 2;
  if (Array.isArray(value)) {
    for (const item of value) size += jsonSizeBound(item) + 1;
    return size;
  }
  for (const key of Object.keys(value)) {
    size += LONGEST_UNIT * key.length + 4 + jsonSizeBound((value as Readonly<Record<string, unknown>>)[key]);
  }
  return size;
}

function sizeOfObject(value: object): number {
  let size = 2;
  if (Array.isArray(value)) {
    for (const item of value) size += roughJsonSize(item) + 1;
    return size;
  }
  // entries would be allocated only to be dropped, which costs more than all the rest
  for (const key of Object.keys(value)) {
    const field = (value as Readonly<Record<string, unknown>>)[key];
    if (field !== undefined) size += key.length + 4 + roughJsonSize(field);
  }
  return size;
}
