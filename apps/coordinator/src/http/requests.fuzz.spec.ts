import { describe, expect, it } from '@jest/globals';
import { CodedError, SeededRandom, isExactText, randomChance, randomInteger, randomItem } from '@concordat/foundation';
import { decodeMessage, encodeMessage } from '@concordat/messaging';
import { decodeRecord, encodeRecord } from '../decision-log/record-codec.js';
import { ENDED, Harness } from '../transactions/testing/harness.js';
import { parseJsonBody } from './json-body.js';
import { isProblemCode, problemDefinition } from './problems.js';
import { parseExecute } from './validation.js';

const SEED = Number(process.env['FUZZ_SEED'] ?? 20_260_507);
const REQUESTS = Number(process.env['FUZZ_REQUESTS'] ?? 1_500);
const CLUSTER = 'local';

/** Texts as they stand in a body, with their escapes. */
const TEXTS = ['""', '"x"', '"Zoë 🦊"', '"\\u0041"', '"\\ud83e\\udd8a"', '"\\u2028\\n"', '"\\u001f"', '"\\ufffd"'];
const ODD_TEXTS = ['"\\ud800"', '"a\\udc00b"', '"\\u0000"', '"\\udd8a\\ud83e"'];
const NUMBERS = ['0', '-0', '1', '-1.5e-7', '9e15', '9007199254740991', '0.1', '1e-400'];
const ODD_NUMBERS = ['9007199254740992', '1e400', '-9007199254740993'];

/** A value as JSON text: sound as a rule, with something in it now and then that must be refused. */
function value(random: SeededRandom, depth = 0): string {
  const odd = randomChance(random, 0.004);
  switch (randomInteger(random, 0, depth > 6 ? 2 : 5)) {
    case 0:
      return randomItem(random, odd ? ODD_TEXTS : TEXTS);
    case 1:
      return randomItem(random, odd ? ODD_NUMBERS : NUMBERS);
    case 2:
      return randomItem(random, ['null', 'true', 'false']);
    case 3:
      return `[${list(random, () => value(random, depth + 1))}]`;
    case 4:
      return odd ? '['.repeat(70) + ']'.repeat(70) : '['.repeat(50) + ']'.repeat(50);
    default:
      return `{${list(random, () => `${randomItem(random, odd ? [...ODD_TEXTS, '"__proto__"'] : TEXTS)}:${value(random, depth + 1)}`)}}`;
  }
}

function list(random: SeededRandom, make: () => string): string {
  return Array.from({ length: randomInteger(random, 0, 4) }, make).join(',');
}

/** Large things, near their limits: seldom, because they cost the time of hundreds of others. */
function large(random: SeededRandom, limit: number): string {
  const length = limit + randomInteger(random, -3, 3);
  return randomItem(random, [
    `"${'x'.repeat(length - 2)}"`,
    `"${'é'.repeat(length / 2 - 1)}"`,
    `[${'9e15,'.repeat(length / 17)}0]`, // five bytes that become sixteen
  ]);
}

function body(random: SeededRandom): string {
  const isLarge = randomChance(random, 0.01);
  const branches = Array.from(
    { length: randomChance(random, 0.01) ? randomInteger(random, 250, 265) : randomInteger(random, 0, 5) },
    () => {
      const participant = randomItem(random, ['bank-a', 'bank-a', 'bank-b', 'bank-c']);
      const operation = randomChance(random, 0.005)
        ? `x${'y'.repeat(128)}`
        : randomItem(random, ['debit', 'credit', 'read']);
      const payload = isLarge ? large(random, 262_144) : value(random);
      const keys = randomChance(random, 0.3)
        ? `,"keys":[${list(random, () => randomItem(random, ['"k"', `"${'k'.repeat(255)}"`, '"🦊"']))}]`
        : '';
      return `{"participant":"${participant}","operation":"${operation}","payload":${payload}${keys}}`;
    },
  );
  const metadata = randomChance(random, 0.02) ? large(random, 16_384 - 6) : value(random);
  const protocol = randomItem(random, ['2pc', '3pc']);
  return `{"protocol":"${protocol}","metadata":{"a":${metadata}},"branches":[${branches.join(',')}]}`;
}

/** Everything that a request gave rise to, on the link and in the log; or the code with which it was refused. */
async function consequences(text: string): Promise<string> {
  const harness = new Harness();
  const records: unknown[] = [];
  harness.log.onApplied(({ record }) => {
    records.push(record);
    expect(decodeRecord(encodeRecord(record))).toEqual(JSON.parse(JSON.stringify(record)));
  });
  try {
    const request = parseExecute(parseJsonBody(Buffer.from(text)), 64);
    const settlement = harness.watch(harness.execute(request, ENDED));
    await harness.settle();
    if (settlement.error) throw settlement.error;
  } catch (error) {
    if (!(error instanceof CodedError) || !isProblemCode(error.code)) throw error;
    expect(problemDefinition(error.code).status).toBeLessThan(500);
    expect(error.message.length).toBeLessThan(6_000);
    expect(isExactText(error.message)).toBe(true);
    expect([records, harness.bus.sent]).toEqual([[], []]);
    return error.code;
  }
  expect(records.length).toBeGreaterThan(0);
  for (const { message } of harness.bus.sent) {
    const read = decodeMessage(CLUSTER, encodeMessage(CLUSTER, message));
    expect(read).toEqual(JSON.parse(JSON.stringify(message)));
  }
  return 'taken';
}

describe('requests of every kind', () => {
  it(`${REQUESTS} of them are refused before anything happens, or the log and the link carry them`, async () => {
    const random = new SeededRandom(SEED);
    const became = new Map<string, number>();
    for (let count = 0; count < REQUESTS; count++) {
      const text = body(random);
      const code = await consequences(text).catch((cause: unknown) => {
        throw new Error(`request ${count} of FUZZ_SEED=${SEED}: ${text.slice(0, 500)}`, { cause });
      });
      became.set(code, (became.get(code) ?? 0) + 1);
    }
    if (process.env['FUZZ_REQUESTS'] !== undefined) return;
    expect(became.get('taken')).toBeGreaterThan(REQUESTS / 2); // and the others are refused for every reason there is:
    expect([...became.keys()].sort()).toEqual([
      'FORBIDDEN_KEY',
      'INVALID_NUMBER',
      'INVALID_REQUEST',
      'INVALID_TEXT',
      'METADATA_TOO_LARGE',
      'NESTED_TOO_DEEPLY',
      'PAYLOAD_TOO_LARGE',
      'TOO_MANY_BRANCHES',
      'taken',
    ]);
  }, 60_000);
});
