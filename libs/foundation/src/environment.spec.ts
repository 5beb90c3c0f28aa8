import { describe, expect, it } from '@jest/globals';
import { ADDRESS_LIST, deepFreeze, formatProblems, oneOf, readVariables, wholeNumber } from './environment.js';

const VARIABLES = {
  COUNT: { default: '7', ...wholeNumber(1, 9_000) },
  BROKERS: { default: undefined, ...ADDRESS_LIST },
  LEVEL: { default: null, ...oneOf(['debug', 'info']) },
  PASSWORD: {
    default: undefined,
    isSecret: true,
    expected: 'at least eight letters',
    parse: (text: string) => (text.length >= 8 ? text : undefined),
  },
};

describe('environment variables', () => {
  it('are read, or take their defaults; one that the program does without is left out', () => {
    const { values, problems } = readVariables(VARIABLES, { BROKERS: ' a:1, b:2 ', PASSWORD: 'long enough' });
    expect(problems).toEqual([]);
    expect(values).toEqual({ COUNT: 7, BROKERS: ['a:1', 'b:2'], PASSWORD: 'long enough' });
  });

  it('are all checked at once; an empty one counts as not set, and no message repeats a secret', () => {
    const wrong = { COUNT: '9001', BROKERS: ' ', LEVEL: 'loud', PASSWORD: 'short' };
    const { values, problems } = readVariables(VARIABLES, wrong);
    expect(values).toEqual({});
    expect(formatProblems(problems).split('\n')).toEqual([
      'COUNT="9001" is wrong; it must be a whole number from 1 to 9,000',
      'BROKERS is not set; it must be host:port, several separated by commas',
      'LEVEL="loud" is wrong; it must be one of debug, info',
      'PASSWORD="***" is wrong; it must be at least eight letters',
    ]);
  });

  it.each(['1.5', '-1', '', 'a', '1e3', '1234567890123456'])('%p is no whole number', (text) => {
    expect(wholeNumber(0, Number.MAX_SAFE_INTEGER).parse(text)).toBeUndefined();
  });
});

it('a frozen configuration is frozen in depth', () => {
  const frozen = deepFreeze({ peers: [{ id: 1 }] });
  expect([frozen, frozen.peers, frozen.peers[0]].every((part) => Object.isFrozen(part))).toBe(true);
});
