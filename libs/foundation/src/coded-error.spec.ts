import { describe, expect, it } from '@jest/globals';
import { errorMessage } from './coded-error.js';

describe('the message of a thrown value', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;

  it.each<[what: string, value: unknown, message: string]>([
    ['an error', new TypeError('no such field'), 'no such field'],
    ['a text', 'gone', 'gone'],
    ['nothing', undefined, 'undefined'],
    [
      'the refusal in a reply over Kafka',
      { statusCode: 402, message: 'no credit' },
      '{"statusCode":402,"message":"no credit"}',
    ],
    ['an object that says what it is', { toString: () => 'a refusal' }, 'a refusal'],
    ['a list', ['a', 'b'], 'a,b'],
    ['an object that no JSON can be made of', circular, 'the thrown value cannot be read'],
    ['one without a prototype', Object.create(null), 'the thrown value cannot be read'],
  ])('is there for %s', (_, value, message) => expect(errorMessage(value)).toBe(message));

  it('is cut', () => {
    const message = errorMessage({ text: 'x'.repeat(5_000) });
    expect(message).toHaveLength(1_002);
    expect(message.endsWith('x …')).toBe(true);
  });
});
