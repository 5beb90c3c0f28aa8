import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import * as transactionErrors from '../transactions/errors.js';
import { LOG_UNAVAILABLE, problemOf } from './problems.js';
import { renderErrorsDocument } from './testing/errors-document.js';

const FILE = fileURLToPath(new URL('../../../../docs/errors.md', import.meta.url));

describe('docs/errors.md', () => {
  it('is what the table says (CONCORDAT_UPDATE_DOCS=1 writes it anew)', () => {
    const expected = renderErrorsDocument();
    if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(FILE, expected);
    expect(readFileSync(FILE, 'utf8')).toBe(expected);
  });

  it('knows every error of the transactions', () => {
    const { LogUnavailableError, ...others } = transactionErrors;
    const reasons = Object.keys(LOG_UNAVAILABLE) as (keyof typeof LOG_UNAVAILABLE)[];
    const failures = [
      ...Object.values(others).map((ErrorClass) => new ErrorClass('')),
      ...reasons.map((reason) => new LogUnavailableError(reason, '')),
    ];
    expect(failures.filter((failure) => problemOf(failure, '/').code === 'INTERNAL')).toEqual([]);
  });
});
