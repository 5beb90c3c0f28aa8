import { createHmac, randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomInteger } from '@concordat/foundation';
import { callHeaders, ContextCodec, invitationIn, newInvitation } from './context-header.js';
import { ContextExpiredError, InvalidContextError } from './errors.js';

const KEY = 'sixteen characters or more';
const NOW = Date.UTC(2026, 10, 30);
const codec = new ContextCodec(KEY);
const context = { transactionId: randomUUID(), deadline: NOW + 10_000, audience: 'inventory:3000' };
const header = codec.encode(context);
const HERE = ['inventory:3000', 'inventory'];
/** With `npm run test:nightly` all, otherwise what fits into the suite. */
const MUTATED = process.env['CONCORDAT_NIGHTLY'] === '1' ? 100_000 : 20_000;

/** With a right signature, whatever it says. */
function signed(text: string): string {
  return `${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`;
}

const name = Buffer.from('inventory:3000').toString('base64url');

describe('the context of a transaction', () => {
  it('is read as it was written, by any of the names of the callee, in any case', () => {
    expect(codec.decode(header, HERE, NOW)).toEqual(context);
    expect(codec.decode([header], ['x', 'INVENTORY:3000'], NOW)).toEqual(context);
    expect(codec.decode(codec.encode({ ...context, audience: 'Inventory:3000' }), HERE, NOW)).toEqual(context);
    expect(
      codec.decode(codec.encode({ ...context, audience: 'zahlungen-für-alle' }), ['zahlungen-für-alle'], NOW),
    ).toMatchObject({
      transactionId: context.transactionId,
    });
  });

  it.each<[string, string | readonly string[], readonly string[], string]>([
    [
      'forged with another key',
      new ContextCodec('another key of sixteen').encode(context),
      HERE,
      'its signature is wrong',
    ],
    ['for another transaction', header.replace(context.transactionId, randomUUID()), HERE, 'its signature is wrong'],
    [
      'with a later deadline',
      header.replace(String(context.deadline), String(context.deadline + 1)),
      HERE,
      'signature',
    ],
    [
      'replayed at another service',
      header,
      ['payments:3000'],
      `it was made for "inventory:3000", for transaction ${context.transactionId}`,
    ],
    ['at a service without a name', header, [], 'it was made for'],
    ['cut short in its signature', header.slice(0, -1), HERE, 'its signature is wrong'],
    [
      'cut short at its signature',
      header.slice(0, header.lastIndexOf('.')),
      HERE,
      'something on the way has cut it short',
    ],
    ['longer than any', `${header}${'A'.repeat(2_000)}`, HERE, 'more than the 1024'],
    ['with a part too many', `${header}.x`, HERE, '6 parts instead of 5'],
    ['given twice', [header, header], HERE, 'send the header once'],
    ['given twice in one line', `${header}, ${header}`, HERE, 'parts instead of 5'],
    ['an empty list', [], HERE, 'it is empty'],
    ['empty', '', HERE, 'it does not begin with "v1."'],
    ['of another version', header.replace('v1', 'v2'), HERE, 'compatible versions'],
    ['without a UUID', signed(`v1.nothing.${context.deadline}.${name}`), HERE, 'cannot be read'],
    ['with a deadline in words', signed(`v1.${context.transactionId}.soon.${name}`), HERE, 'cannot be read'],
    ['with a negative deadline', signed(`v1.${context.transactionId}.-5.${name}`), HERE, 'cannot be read'],
    ['with a name that is no base64', signed(`v1.${context.transactionId}.5.ä`), HERE, 'cannot be read'],
    ['with a signature in other letters', header.replace(/.$/, '='), HERE, 'its signature is wrong'],
  ])('is refused when it is %s', (_how, value, audiences, sentence) => {
    const read = (): unknown => codec.decode(value, audiences, NOW);
    expect(read).toThrow(InvalidContextError);
    expect(read).toThrow(sentence);
  });

  it('ends with the deadline, and a second for clocks that differ', () => {
    expect(codec.decode(header, HERE, context.deadline + 999)).toEqual(context);
    const late = (): unknown => codec.decode(header, HERE, context.deadline + 1_000);
    expect(late).toThrow(ContextExpiredError);
    expect(late).toThrow('passed 1000 ms ago');
  });

  it(`survives no change of a single character, and no garbage does any harm, ${MUTATED} times`, () => {
    const random = new SeededRandom(13);
    const read: string[] = [];
    for (let round = 0; round < MUTATED; round++) {
      const letters = header.split('');
      const edits = randomInteger(random, 1, 4);
      for (let edit = 0; edit < edits; edit++) {
        const at = randomInteger(random, 0, letters.length - 1);
        const letter = String.fromCharCode(randomInteger(random, 0, 0x2ff));
        letters.splice(at, randomInteger(random, 0, 2), letter);
      }
      const mutated = letters.join('');
      if (mutated === header) continue;
      try {
        codec.decode(mutated, HERE, NOW);
        read.push(mutated);
      } catch (error) {
        if (!(error instanceof InvalidContextError)) throw error;
      }
    }
    expect(read).toEqual([]);
  });
});

describe('a context of several keys', () => {
  const NEXT = 'the key that comes after it';
  const LAST = 'and one more of that length';

  it('is signed with the first, and taken by who has that one anywhere', () => {
    const written = new ContextCodec([NEXT, KEY]).encode(context);
    expect(written).toBe(new ContextCodec(NEXT).encode(context));
    expect(new ContextCodec([LAST, KEY, NEXT]).decode(written, HERE, NOW)).toEqual(context);
    expect(() => codec.decode(written, HERE, NOW)).toThrow('its signature is wrong');
    expect(() => new ContextCodec([LAST, KEY]).decode(written, HERE, NOW)).toThrow('its signature is wrong');
  });

  it('is read with the keys that count at that moment', () => {
    let keys = [KEY];
    const changing = new ContextCodec(() => keys);
    expect(changing.decode(header, HERE, NOW)).toEqual(context);
    keys = [NEXT];
    expect(() => changing.decode(header, HERE, NOW)).toThrow('its signature is wrong');
    expect(new ContextCodec(NEXT).decode(changing.encode(context), HERE, NOW)).toEqual(context);
  });

  it('shows no key to who prints its codec', () => {
    expect(inspect(new ContextCodec([KEY, NEXT]), { depth: null, showHidden: true })).not.toMatch(
      /sixteen|comes after/,
    );
  });
});

describe('the invitation beside a context', () => {
  it('is another one for each transaction, and read as it was sent', () => {
    const [one, other] = [newInvitation(), newInvitation()];
    expect(one).not.toBe(other);
    const sent = callHeaders(header, undefined, one);
    expect(Object.keys(sent)).toEqual(['concordat-transaction', 'concordat-invitation']);
    expect(invitationIn(sent['concordat-invitation'])).toBe(one);
    expect(invitationIn([one])).toBe(one);
  });

  it('is not sent on where none has come, and what cannot be one is none', () => {
    expect(Object.keys(callHeaders(header, undefined, undefined))).toEqual(['concordat-transaction']);
    const one = newInvitation();
    for (const value of [undefined, [], '', 'short', `${one}, ${one}`, [one, one], 'x'.repeat(129), `${one}\n`]) {
      expect(invitationIn(value)).toBeUndefined();
    }
  });
});
