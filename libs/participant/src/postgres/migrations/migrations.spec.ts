import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BRANCH_OCCUPIED } from '../statements/sql-state.js';
import { migrationFor, readMigrations } from './migrations.js';

/** SHA-256 of the statements that databases in use were made with, without comments of their own line and indentation. */
const APPLIED = [
  'd434a33aa3524f2cb312b7985dca241e3b45f17f2df131e26c31767061403dbf',
  '0fa67ac763cd5b43239b33bbd960102b6e4be4b8fe35df543827a35e51a7ab48',
  '72476d417aab84b7226dfeab719e53a215609f0a93ac42f673b4cd005afbfb8a',
  'fbb28334dbdabbed31d7f915d3646ea4a0fd484f143df252fb40c9b9eec605d9',
  'adc9bff564e1104be9de664741fb0a396aabfc0ad21829d2459e62f01b8b7cec',
  '6839e6a1f3e19820f63a4ce5806e5a168161d834ae585cada90f400784eb9013',
  'babf0bf23dd2b8e0d6ba6e437abdd3bc38bd0d55003b36e451497f824300a145',
  '85547420a619f445f835e8fd6cb5c10b165e0cbd4d9b1cc38a195f02a3b2217f',
  'b146e42ee28bdf1c47d12591a636c24bc50c4b51200d23283d3cd68c7c5413e1',
  '6cca8408e845696273da49328d7a0973a2bc77de82f0c24a3b76c50f8cdf29cc',
  'c57be275d3267a9bfcd9b5a4cbe5735f1dc2812704d6fe08443f9f3f575c4318',
];

function fingerprint(sql: string): string {
  const lines = sql
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('--'));
  return createHash('sha256').update(lines.join('\n').replace(/;$/, '')).digest('hex');
}

describe('the migrations of the ledger', () => {
  it('are numbered from 1, each with a fingerprint on record', async () => {
    const versions = (await readMigrations()).map(({ version }) => version);
    expect(versions).toEqual(APPLIED.map((_, index) => index + 1));
  });

  it.each(APPLIED.map((digest, index) => [index + 1, digest] as const))(
    'are what databases were made with, unchanged: %d',
    async (version, digest) => {
      const migration = (await readMigrations())[version - 1]!;
      expect(fingerprint(migrationFor('public', migration))).toBe(digest);
    },
  );

  it('raise the state that stands for an occupied branch', async () => {
    const opening = (await readMigrations()).filter(({ text }) => /concordat_(open|begin)_branch\(/.test(text));
    expect(opening.map(({ text }) => text.split(`ERRCODE = '${BRANCH_OCCUPIED}'`).length - 1)).toEqual([2, 2, 2]);
  });

  it('get the name of the schema in quotes, whatever it is, and no other', async () => {
    const schema = `a"b$&'; DROP`;
    for (const migration of await readMigrations()) {
      const sql = migrationFor(schema, migration);
      expect(sql).toContain(`"a""b$&'; DROP".concordat_`);
      expect(sql).not.toContain(':CONCORDAT_SCHEMA');
      expect(sql.replace(/pg_catalog\.|"a""b\$&'; DROP"\./g, '')).not.toMatch(/[\w"]\.concordat_\w+[ (]/);
    }
  });

  describe('in a folder that is not whole', () => {
    let folder: string;
    beforeEach(() => void (folder = mkdtempSync(path.join(tmpdir(), 'migrations-'))));
    afterEach(() => rmSync(folder, { recursive: true }));

    it('are refused when there are none', async () => {
      await expect(readMigrations(folder)).rejects.toThrow('it holds no migrations; install or build');
    });

    it('are refused when one is missing', async () => {
      for (const name of ['000001.sql', '000003.sql']) writeFileSync(path.join(folder, name), '');
      await expect(readMigrations(folder)).rejects.toThrow('migration 2 is missing; install or build');
    });
  });
});
