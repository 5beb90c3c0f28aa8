import { invariant } from '@concordat/foundation';

/** How a field enters the key of a machine that holds it. */
export type FieldTreatment =
  /** not at all: nothing reads it before it is written again */
  | 'ignored'
  /** only whether it is there: nothing but people read what it says */
  | 'presence'
  /** 0 or more than 0: nothing tells a first repetition from a second one */
  | 'zero-or-more'
  /** a list whose order means something, although its items name branches */
  | 'ordered';

/** By the name of the field; all others enter as they are. */
export type FieldTreatments = Readonly<Record<string, FieldTreatment>>;

const MAXIMUM_DEPTH = 20;

/**
 * Copies a machine with everything that belongs to it: objects keep their class, and what was shared inside stays
 * shared. For machines whose whole state lies in properties of their own (TypeScript's `private` is one, a `#field`
 * or a closure is not; the replays of the model's own tests would show one).
 */
export function cloneGraph<T>(value: T): T {
  return copy(value, new Map()) as T;
}

function copy(value: unknown, copies: Map<object, object>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = copies.get(value);
  if (known) return known;
  if (value instanceof Map) {
    const map = new Map<unknown, unknown>();
    copies.set(value, map);
    for (const [key, item] of value) map.set(copy(key, copies), copy(item, copies));
    return map;
  }
  if (value instanceof Set) {
    const set = new Set<unknown>();
    copies.set(value, set);
    for (const item of value) set.add(copy(item, copies));
    return set;
  }
  const target: object = Array.isArray(value) ? [] : (Object.create(Object.getPrototypeOf(value) as object) as object);
  copies.set(value, target);
  for (const [name, item] of Object.entries(value)) Reflect.set(target, name, copy(item, copies));
  return target;
}

/**
 * A text that two machines share exactly if they are in the same state, up to what `treatments` leave out. An
 * absent field equals an undefined one. The entries of a map, and things that name a branch, come in the order of
 * their names: the order in which they were added means nothing to a protocol.
 */
export function keyOf(value: unknown, treatments: FieldTreatments, depth = 0): string {
  invariant(depth < MAXIMUM_DEPTH, 'the state of a machine is a tree of limited depth');
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? value : String(value);
  const inner = (item: unknown): string => keyOf(item, treatments, depth + 1);
  if (value instanceof Map) {
    const entries = Array.from(value, ([key, item]) => `${inner(key)}:${inner(item)}`);
    return `<${entries.sort().join(',')}>`;
  }
  if (value instanceof Set) return `<${Array.from(value, inner).sort().join(',')}>`;
  if (Array.isArray(value)) {
    const items = value.map(inner);
    const named = value.every((item: unknown) => typeof item === 'object' && item !== null && 'branchId' in item);
    return `[${(named ? items.sort() : items).join(',')}]`;
  }
  const fields = Object.entries(value).filter(([, item]) => item !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, item]) => fieldKey(name, item, treatments[name], inner)).join('')}}`;
}

function fieldKey(
  name: string,
  value: unknown,
  treatment: FieldTreatment | undefined,
  inner: (item: unknown) => string,
): string {
  switch (treatment) {
    case 'ignored':
      return '';
    case 'presence':
      return `${name};`;
    case 'zero-or-more':
      invariant(typeof value === 'number', `${name} is a number`);
      return `${name}=${Math.min(value, 1)};`;
    case 'ordered':
      invariant(Array.isArray(value), `${name} is a list`);
      return `${name}=[${value.map(inner).join(',')}];`;
    case undefined:
      return `${name}=${inner(value)};`;
  }
}
