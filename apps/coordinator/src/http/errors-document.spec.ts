import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { ABORT_REASONS } from '@concordat/commit-protocol';
import * as transactionErrors from '../transactions/errors.js';
import { renderErrorsDocument } from './errors-document.js';
import { ABORT_REASON_ADVICE, isProblemCode } from './problems.js';

const FILE = fileURLToPath(new URL('../../../../docs/errors.md', import.meta.url));

describe('docs/errors.md', () => {
  it('is what the table says (CONCORDAT_UPDATE_DOCS=1 writes it anew)', () => {
    const expected = renderErrorsDocument();
    if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(FILE, expected);
    expect(readFileSync(FILE, 'utf8')).toBe(expected);
  });

  it('knows every error of the transactions', () => {
    const codes = Object.values(transactionErrors).map((ErrorClass) => new ErrorClass('').code);
    expect(codes.filter((code) => !isProblemCode(code))).toEqual([]);
  });

  it('knows every reason of an abort', () => {
    expect(Object.keys(ABORT_REASON_ADVICE).sort()).toEqual([...ABORT_REASONS].sort());
  });
});
