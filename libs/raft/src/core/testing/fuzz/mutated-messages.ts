import { randomInteger, randomItem, type Random } from '@concordat/foundation';
import { MAXIMUM_INTEGER, type Message } from '../../types.js';

/** A field of a message, however deep: the object it is in, and its name. */
interface Place {
  readonly owner: Record<string, unknown>;
  readonly name: string;
}

const NUMBERS: readonly number[] = [
  -1,
  0,
  -0,
  1,
  2,
  0.5,
  Number.NaN,
  Infinity,
  -Infinity,
  MAXIMUM_INTEGER,
  MAXIMUM_INTEGER + 1,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_VALUE,
  2 ** 32,
];

function placesOf(value: object, matches: (field: unknown) => boolean): Place[] {
  if (value instanceof Uint8Array) return [];
  const owner = value as Record<string, unknown>;
  return Object.entries(owner).flatMap(([name, field]) => [
    ...(matches(field) ? [{ owner, name }] : []),
    ...(typeof field === 'object' && field !== null ? placesOf(field, matches) : []),
  ]);
}

const isNumber = (field: unknown): boolean => typeof field === 'number';

type Mutation = (random: Random, message: Message) => void;

const replaceNumber: Mutation = (random, message) => {
  const { owner, name } = randomItem(random, placesOf(message, isNumber));
  owner[name] = randomItem(random, NUMBERS);
};

/** By one, two, or a little more: still plausible, and often sound. */
const shiftNumber: Mutation = (random, message) => {
  const { owner, name } = randomItem(random, placesOf(message, isNumber));
  owner[name] = (owner[name] as number) + randomInteger(random, -3, 5);
};

const swapNumbers: Mutation = (random, message) => {
  const places = placesOf(message, isNumber);
  const [one, other] = [randomItem(random, places), randomItem(random, places)];
  [one.owner[one.name], other.owner[other.name]] = [other.owner[other.name], one.owner[one.name]];
};

const flipBoolean: Mutation = (random, message) => {
  const places = placesOf(message, (field) => typeof field === 'boolean');
  if (places.length === 0) return replaceNumber(random, message);
  const { owner, name } = randomItem(random, places);
  owner[name] = owner[name] !== true;
};

/** A list loses an item, has one twice, is turned around or emptied: entries, members, voters, learners. */
const spliceList: Mutation = (random, message) => {
  const lists = placesOf(message, Array.isArray);
  if (lists.length === 0) return shiftNumber(random, message);
  const { owner, name } = randomItem(random, lists);
  const list = owner[name] as unknown[];
  const at = randomInteger(random, 0, Math.max(0, list.length - 1));
  owner[name] = randomItem(random, [
    list.toSpliced(at, 1),
    list.length === 0 ? list : list.toSpliced(at, 0, structuredClone(list[at])),
    list.toReversed(),
    [],
  ]);
};

/** Bytes of entries and snapshots: other ones, none, or too many. */
const replaceBytes: Mutation = (random, message) => {
  const places = placesOf(message, (field) => field instanceof Uint8Array);
  if (places.length === 0) return swapNumbers(random, message);
  const { owner, name } = randomItem(random, places);
  const bytes = Uint8Array.from(owner[name] as Uint8Array);
  if (bytes.length > 0) bytes[randomInteger(random, 0, bytes.length - 1)] = random.uint32() & 0xff;
  owner[name] = randomItem(random, [bytes, bytes.slice(1), new Uint8Array(0), new Uint8Array(300).fill(0x7b)]);
};

/** The kind of an entry, an address: texts become other texts. */
const replaceText: Mutation = (random, message) => {
  const places = placesOf(message, (field) => typeof field === 'string').filter(({ name }) => name !== 'type');
  if (places.length === 0) return replaceNumber(random, message);
  const { owner, name } = randomItem(random, places);
  owner[name] = randomItem(random, ['', 'normal', 'no-op', 'configuration', 'unheard-of', 'x'.repeat(5000)]);
};

const MUTATIONS: readonly Mutation[] = [
  replaceNumber,
  replaceNumber,
  shiftNumber,
  shiftNumber,
  shiftNumber,
  swapNumbers,
  flipBoolean,
  spliceList,
  replaceBytes,
  replaceText,
];

/** A copy of the message with no to three injuries. Types of fields stay what the wire format can express. */
export function mutated(random: Random, message: Message): Message {
  const copy = structuredClone(message);
  for (let count = randomInteger(random, 0, 3); count > 0; count--) randomItem(random, MUTATIONS)(random, copy);
  return copy;
}
