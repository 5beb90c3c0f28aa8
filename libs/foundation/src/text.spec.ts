import { describe, expect, it } from '@jest/globals';
import { SeededRandom, randomInteger } from './random.js';
import { CUT_MARK, fitText, isExactText } from './text.js';

describe('texts that arrive as they are', () => {
  it.each(['', 'plain', 'Zoë', '🦊', '\u{10ffff}', '\ufffd'])('%j is exact', (text) => {
    expect(isExactText(text)).toBe(true);
  });

  it.each(['\0', 'a\ud800', '\udc00b', '\udc00\ud800', '🦊\ud83e'])('%j is not', (text) => {
    expect(isExactText(text)).toBe(false);
    expect(isExactText(fitText(text, 100))).toBe(true);
  });
});

describe('fitText', () => {
  it('leaves alone what fits', () => {
    expect(fitText('as it is', 8)).toBe('as it is');
  });

  it('cuts between two characters, and marks it', () => {
    expect(fitText('aaaa🦊', 5)).toBe(`aaaa${CUT_MARK}`);
    expect(fitText('aaa🦊aa', 5)).toBe(`aaa${CUT_MARK}`);
    expect(fitText('aa🦊aaa', 5)).toBe(`aa🦊${CUT_MARK}`);
  });

  it('tells different texts apart that UTF-8 would make equal', () => {
    expect(fitText('a\ud800', 20)).toBe('a\\ud800');
    expect(fitText('a\udfff', 20)).toBe('a\\udfff');
    expect(fitText('a\0', 20)).toBe('a\\u0000');
  });

  it('keeps every text within every limit, exact and unbroken', () => {
    const random = new SeededRandom(7);
    const units = [0, 0x61, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfffd, 0xe9];
    for (let run = 0; run < 5_000; run++) {
      const length = randomInteger(random, 0, 30);
      const text = String.fromCharCode(
        ...Array.from({ length }, () => units[randomInteger(random, 0, units.length - 1)]!),
      );
      const limit = randomInteger(random, 0, 40);
      const fitted = fitText(text, limit);
      expect(fitted.length).toBeLessThanOrEqual(limit);
      expect(isExactText(fitted)).toBe(true);
      expect(Buffer.from(fitted, 'utf8').toString('utf8')).toBe(fitted);
    }
  });
});
