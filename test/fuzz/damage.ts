import { randomChance, randomInteger, randomItem, type JsonValue, type Random } from '@concordat/foundation';

/** What is left of a message. */
export interface Damaged {
  /** null: a record without a value, as a compacted topic has them */
  readonly bytes: Buffer | null;
  /** whatever it was, no reader may take it; otherwise the damage may have left a message, or made another one */
  readonly isCertainlyInvalid: boolean;
}

type Path = readonly (string | number)[];
type Fields = Record<string, JsonValue>;

const HERE = '@@here@@';
/** What no JSON has, or what a number of JSON cannot be; put in as text. */
const STRANGE_TEXTS = ['NaN', 'Infinity', '-Infinity', 'undefined', '01', '0x1f', '.5', "'text'", '1e999', '-1e999'];
const STRANGE_VALUES: readonly JsonValue[] = [
  null,
  true,
  -1,
  -0.5,
  0,
  1e308,
  2 ** 53,
  2 ** 31,
  '',
  '0',
  '__proto__',
  'constructor',
  '\u0000',
  '\u202e',
  '\ud800',
  [],
  {},
  [[]],
  { v: 1 },
  { toString: 1 },
  'x'.repeat(600),
];
const NAMES = ['__proto__', 'constructor', 'toString', 'V', 'Type', 'decision ', 'term', 'force', ''];

/** Breaks the bytes of a message: flipped, cut off, filled in, run together with another one. */
export function damageBytes(random: Random, wire: Buffer, other: Buffer): Damaged {
  const bytes = Buffer.from(wire);
  const place = (): number => randomInteger(random, 0, bytes.length - 1);
  switch (randomInteger(random, 0, 6)) {
    case 0:
      for (let count = randomInteger(random, 1, 4); count > 0; count--) {
        const at = place();
        bytes[at] = bytes[at]! ^ (1 << randomInteger(random, 0, 7));
      }
      return possible(bytes);
    case 1:
      for (let count = randomInteger(random, 1, 6); count > 0; count--) bytes[place()] = random.uint32() & 0xff;
      return possible(bytes);
    case 2: // an object of JSON ends with its last byte
      return invalid(bytes.subarray(0, place()));
    case 3: {
      const at = place();
      const filling = Buffer.from(Array.from({ length: randomInteger(random, 1, 16) }, () => random.uint32() & 0xff));
      return possible(Buffer.concat([bytes.subarray(0, at), filling, bytes.subarray(at)]));
    }
    case 4:
      return invalid(Buffer.concat([bytes, other]));
    case 5:
      return possible(
        Buffer.concat([bytes.subarray(0, place()), other.subarray(randomInteger(random, 0, other.length))]),
      );
    default: {
      const noise = Buffer.from(Array.from({ length: randomInteger(random, 1, 64) }, () => random.uint32() & 0xff));
      return randomItem(random, [invalid(null), invalid(Buffer.alloc(0)), possible(noise)]);
    }
  }
}

/** Keeps it JSON, mostly, and breaks what it says: fields dropped, doubled, renamed, of a wrong type or size. */
export function damageFields(random: Random, wire: Buffer, other: Buffer): Damaged {
  const fields = JSON.parse(wire.toString('utf8')) as Fields;
  const path = randomItem(random, placesOf(fields));
  switch (randomInteger(random, 0, 8)) {
    case 0:
      return dropped(fields, path);
    case 1:
      return possible(encode(replaced(fields, path, randomItem(random, STRANGE_VALUES))));
    case 2: {
      const strange = randomItem(random, STRANGE_TEXTS);
      return { ...asText(fields, path, strange), isCertainlyInvalid: !/^-?1e999$/.test(strange) };
    }
    case 3: // strict: what is unknown is not half understood
      return { bytes: encode({ ...fields, [`${randomItem(random, NAMES)}?`]: 1 }), isCertainlyInvalid: true };
    case 4: {
      // the deepest seldom: it costs the time of a hundred others
      const depth = randomChance(random, 0.03) ? 20_000 : randomItem(random, [63, 64, 65, 66, 500]);
      return possible(asText(fields, path, `${'['.repeat(depth)}${']'.repeat(depth)}`).bytes);
    }
    case 5: {
      // twice in one object; the reader takes the last
      const name = randomItem(random, Object.keys(fields));
      const text = JSON.stringify(fields);
      const pair = `${JSON.stringify(name)}:${JSON.stringify(randomItem(random, STRANGE_VALUES))}`;
      const doubled = random.uint32() % 2 === 0 ? `{${pair},${text.slice(1)}` : `${text.slice(0, -1)},${pair}}`;
      return possible(Buffer.from(doubled));
    }
    case 6:
      return possible(encode({ ...fields, ...(JSON.parse(other.toString('utf8')) as Fields) }));
    case 7:
      return {
        bytes: encode({ ...fields, v: randomItem(random, [0, 2, -1, '1', null, [1], 1e9]) }),
        isCertainlyInvalid: true,
      };
    default: {
      const whole = randomItem<JsonValue>(random, [[fields], null, 'prepare', 17, { message: fields }, [], {}]);
      return { bytes: Buffer.from(JSON.stringify(whole)), isCertainlyInvalid: true };
    }
  }
}

function dropped(fields: Fields, path: Path): Damaged {
  const [name, ...deeper] = path;
  const isNeeded =
    deeper.length === 0 && ['v', 'type', 'transactionId', 'branchId', 'participant'].includes(String(name));
  const copy = structuredClone(fields);
  const parent = parentOf(copy, path);
  if (Array.isArray(parent)) parent.splice(Number(path.at(-1)), 1);
  else delete parent[String(path.at(-1))];
  return { bytes: encode(copy), isCertainlyInvalid: isNeeded };
}

function asText(fields: Fields, path: Path, text: string): Damaged {
  return possible(Buffer.from(JSON.stringify(replaced(fields, path, HERE)).replace(`"${HERE}"`, () => text)));
}

function replaced(fields: Fields, path: Path, value: JsonValue): Fields {
  const copy = structuredClone(fields);
  (parentOf(copy, path) as Record<string | number, JsonValue>)[path.at(-1)!] = value;
  return copy;
}

function parentOf(fields: Fields, path: Path): Fields | JsonValue[] {
  let parent: JsonValue = fields;
  for (const step of path.slice(0, -1)) parent = (parent as Record<string | number, JsonValue>)[step]!;
  return parent as Fields | JsonValue[];
}

/** Everything in it that can be replaced. */
function placesOf(value: JsonValue, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([name, field]) => {
    return placesOf(field, [...path, Array.isArray(value) ? Number(name) : name]);
  });
  return path.length === 0 ? below : [path, ...below];
}

function encode(fields: Fields): Buffer {
  return Buffer.from(JSON.stringify(fields));
}

function possible(bytes: Buffer | null): Damaged {
  return { bytes, isCertainlyInvalid: false };
}

function invalid(bytes: Buffer | null): Damaged {
  return { bytes, isCertainlyInvalid: true };
}
