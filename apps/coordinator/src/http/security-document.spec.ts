import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { ROLES } from '../auth/credentials/roles.js';
import { withAccessTable } from './testing/security-document.js';

const FILE = fileURLToPath(new URL('../../../../docs/security.md', import.meta.url));

describe('docs/security.md', () => {
  it('has the table of who may call what (CONCORDAT_UPDATE_DOCS=1 writes it anew)', () => {
    const text = readFileSync(FILE, 'utf8');
    const expected = withAccessTable(text);
    if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(FILE, expected);
    expect(readFileSync(FILE, 'utf8')).toBe(expected);
  });

  it.each(ROLES)('says what %s is', (role) => {
    expect(readFileSync(FILE, 'utf8')).toContain(`\`${role}`);
  });
});
