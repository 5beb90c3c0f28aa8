import { describe, expect, it } from '@jest/globals';
import { branchError } from './branch-error.js';
import { LIMITS } from './limits.js';

describe('errors of branches', () => {
  it('keeps what can be passed on', () => {
    expect(branchError('INSUFFICIENT_FUNDS', 'holds 3')).toEqual({ code: 'INSUFFICIENT_FUNDS', message: 'holds 3' });
    expect(branchError('a.b:c-1', '')).toEqual({ code: 'a.b:c-1', message: '' });
  });

  it.each([
    ['', '""'],
    ['X'.repeat(65), `"${'X'.repeat(63)}…"`],
    ['WITH SPACE', '"WITH SPACE"'],
    ['NUL\0', '"NUL\\\\u0000"'],
    ['half\ud800', '"half\\\\ud800"'],
    [undefined, 'a undefined'],
    [{ text: 'X' }, 'a object'],
  ])('a code %p is replaced, and told in the message', (code, shown) => {
    const { code: replaced, message } = branchError(code, 'no money');
    expect(replaced).toBe('INVALID_ERROR_CODE');
    expect(message).toBe(`refused with a code that is not 1 to 64 visible ASCII characters (${shown}): no money`);
  });

  it('cuts a long message, and one that is no text says nothing', () => {
    const { message } = branchError('X', `${'y'.repeat(LIMITS.errorMessageLength - 2)}🦊🦊`);
    expect(message).toBe(`${'y'.repeat(LIMITS.errorMessageLength - 2)}…`);
    expect(branchError('X', 10n)).toEqual({ code: 'X', message: '' });
  });
});
