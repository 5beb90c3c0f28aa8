/** Any value that JSON can carry. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue };

/** As a coordinator allows it; deeper values would be refused there. */
const MAXIMUM_DEPTH = 64;
/** NUL, and halves of surrogate pairs, which neither UTF-8 nor a database can store. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * What makes a value another one once it is JSON, with the place, or undefined. `JSON.stringify` alone says nothing
 * when it turns NaN into null, a Date into text or a Map into an empty object, and a transaction must not carry an
 * amount that nobody sent. A property that is undefined is left out, as usual.
 */
export function jsonFault(value: unknown, place: string, depth = 0): string | undefined {
  switch (typeof value) {
    case 'boolean':
      return undefined;
    case 'string':
      return isExactText(value)
        ? undefined
        : `${place} contains NUL or half of a surrogate pair, which cannot be stored`;
    case 'number':
      return numberFault(value, place);
    case 'object':
      return value === null ? undefined : containerFault(value, place, depth);
    default:
      return `${place} is ${typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`}, which JSON cannot carry`;
  }
}

function isExactText(text: string): boolean {
  return !text.includes('\0') && !LONE_SURROGATE.test(text);
}

function numberFault(value: number, place: string): string | undefined {
  if (!Number.isFinite(value)) return `${place} is ${value}, which JSON cannot carry`;
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) return undefined;
  return `${place} is beyond 2^53-1 and would be rounded; send it as a text`;
}

function containerFault(value: object, place: string, depth: number): string | undefined {
  if (depth >= MAXIMUM_DEPTH) return `${place} has more than ${MAXIMUM_DEPTH} levels`;
  if (Array.isArray(value)) {
    // by index: holes of a sparse array are undefined too
    for (let index = 0; index < value.length; index++) {
      const fault = jsonFault(value[index], `${place}[${index}]`, depth + 1);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
  if (!isPlain(value)) return `${place} is not a plain object, which JSON would change; convert it first`;
  for (const [name, child] of Object.entries(value)) {
    if (!isExactText(name)) return `a name in ${place} contains NUL or half of a surrogate pair`;
    const fault = child === undefined ? undefined : jsonFault(child, `${place}.${name}`, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === null || Object.getPrototypeOf(prototype) === null) && !('toJSON' in value);
}
