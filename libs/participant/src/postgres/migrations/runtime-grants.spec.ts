import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { runtimeGrants } from './runtime-grants.js';

describe('what a participant at work is granted', () => {
  it('stands in docs/security.md as it is granted', () => {
    const document = readFileSync(path.resolve(import.meta.dirname, '../../../../../docs/security.md'), 'utf8');
    const sql = runtimeGrants('concordat', 'orders').map((grant) => `${grant};\n`);
    expect(document).toContain(`\`\`\`sql\n${sql.join('')}\`\`\`\n`);
  });

  it('has names in quotes, whatever they are', () => {
    const [first] = runtimeGrants('a"b', 'c"; DROP');
    expect(first).toBe('GRANT USAGE ON SCHEMA "a""b" TO "c""; DROP"');
  });
});
