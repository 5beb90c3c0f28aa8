import { describe, expect, it } from '@jest/globals';
import { canonicalJson } from './canonical-json.js';

describe('canonicalJson', () => {
  it.each<[string, unknown, string]>([
    [
      'sorts keys at every depth',
      { b: { d: 1, c: [{ z: 1, y: 2 }] }, a: 0 },
      '{"a":0,"b":{"c":[{"y":2,"z":1}],"d":1}}',
    ],
    ['sorts by code units, not by locale', { é: 1, z: 2, Z: 3, 10: 4, 9: 5 }, '{"10":4,"9":5,"Z":3,"z":2,"é":1}'],
    ['keeps the order of arrays', [3, 1, 2], '[3,1,2]'],
    ['leaves undefined fields out', { a: undefined, b: null }, '{"b":null}'],
    ['has null for an undefined item', [undefined], '[null]'],
    ['escapes texts and keys', { 'a"b': 'c\n' }, '{"a\\"b":"c\\n"}'],
    ['knows one zero', -0, '0'],
    ['has null for what JSON cannot carry', Number.NaN, 'null'],
    ['has null for undefined', undefined, 'null'],
  ])('%s', (_name, value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it('is JSON that says the same', () => {
    const value = { b: [1, { d: null, c: 'x' }], a: true };
    expect(JSON.parse(canonicalJson(value))).toEqual(value);
  });
});
