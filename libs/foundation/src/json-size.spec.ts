import { describe, expect, it } from '@jest/globals';
import { jsonSizeBound, roughJsonSize } from './json-size.js';

describe('the rough size of JSON', () => {
  it.each([
    [{ id: '019b76da-ed5c-7315-ae3c-adff3768f20d', at: 12_345_678, ok: true, none: null, list: [[], {}, 'x'] }],
    [Array.from({ length: 100 }, (_, n) => ({ account: `acc-${n}`, amount: 1_000_000 + n }))],
    ['x'.repeat(100_000)],
  ])('is near the size of the text: %#', (value) => {
    const size = JSON.stringify(value).length;
    expect(Math.abs(roughJsonSize(value) - size)).toBeLessThan(size / 5);
  });

  it('counts nothing for what is not written', () => {
    expect(roughJsonSize({ left: undefined })).toBe(2);
  });
});

describe('the bound on the size of JSON', () => {
  it.each([
    [
      {
        account: 'bench-1234',
        amount: 1,
        tags: [null, true, false, -Number.MAX_VALUE, 5e-324, -Math.PI / 1e300],
      },
    ],
    ['\u0001'.repeat(1_000)],
    ['\u20ac"\\\u{1d11e}'.repeat(1_000)],
    [{ ['\u0000\u20ac'.repeat(100)]: { a: [[], {}, [[1]]] } }],
    [null],
    [false],
    [{ left: undefined, kept: 1 }],
  ])('is never too small: %#', (value) => {
    expect(jsonSizeBound(value)).toBeGreaterThanOrEqual(Buffer.byteLength(JSON.stringify(value)));
  });
});
