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
