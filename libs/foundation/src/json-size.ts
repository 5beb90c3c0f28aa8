/**
 * About how many bytes the JSON text of a value has, for bounds on what is gathered, without writing it: exact up to the
 * escapes, the digits of numbers and characters beyond ASCII, which count as one byte each. Of a large text only the
 * length is looked at, so it takes far less time than the text. Depends on the value alone: every node finds the same.
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

function sizeOfObject(value: object): number {
  let size = 2;
  if (Array.isArray(value)) {
    for (const item of value) size += roughJsonSize(item) + 1;
    return size;
  }
  // not by its entries: they are made only to be thrown away, which takes more time than all the rest
  for (const key of Object.keys(value)) {
    const field = (value as Readonly<Record<string, unknown>>)[key];
    if (field !== undefined) size += key.length + 4 + roughJsonSize(field);
  }
  return size;
}
