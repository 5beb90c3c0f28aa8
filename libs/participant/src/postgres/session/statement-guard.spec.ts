import { describe, expect, it } from '@jest/globals';
import { refusalOf } from './statement-guard.js';

describe('a statement that a branch must not send', () => {
  it.each<[string, string]>([
    ['commit', 'is begun and ended by the participant library'],
    ['/* at last */ COMMIT', 'is begun and ended by the participant library'],
    ['ROLLBACK', 'throw an error'],
    ['PREPARE TRANSACTION $$x$$', 'belong to the participant library'],
    ['SET search_path = x', 'use SET LOCAL'],
    ['RESET ALL', 'leave it out'],
    ['LISTEN news', 'notify when it has committed (onGlobalCommit)'],
    ['NOTIFY news', 'notify when it has committed (onGlobalCommit)'],
    ["SELECT pg_notify('news', 'x')", 'notify when it has committed (onGlobalCommit)'],
    ['CREATE TEMP TABLE x (y int)', 'use an ordinary table'],
    ['create local temporary table x (y int)', 'use an ordinary table'],
    ['CREATE OR REPLACE TEMP VIEW x AS SELECT 1', 'use an ordinary table'],
    ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'read the rows in pages'],
    ['SELECT pg_export_snapshot()', 'exported its snapshot'],
    ['SELECT pg_advisory_lock(1)', 'use pg_advisory_xact_lock'],
    ['VACUUM item', 'run it in a migration'],
    ['create database other', 'run it in a migration'],
    ['DROP DATABASE other', 'run it in a migration'],
    ["ALTER SYSTEM SET work_mem = '1MB'", 'run it in a migration'],
    ['CREATE UNIQUE INDEX CONCURRENTLY i ON item (id)', 'run it in a migration'],
    ['DROP INDEX CONCURRENTLY i', 'run it in a migration'],
    ['REINDEX TABLE CONCURRENTLY item', 'run it in a migration'],
    ['SELECT 1; COMMIT', 'is begun and ended by the participant library'],
  ])('%s: the sentence says what to do', (text, sentence) => {
    expect(refusalOf(text)).toContain('is not allowed in a branch: ');
    expect(refusalOf(text)).toContain(sentence);
  });

  it.each([
    'ROLLBACK TO SAVEPOINT one',
    "SET LOCAL lock_timeout = '1s'",
    'CREATE TABLE item (id int)',
    'CREATE INDEX concurrently_used ON item (id)',
    'ALTER TABLE item ADD COLUMN x int',
    "INSERT INTO note VALUES ('LISTEN; COMMIT')",
    'DECLARE c CURSOR FOR SELECT 1',
    '-- COMMIT\nSELECT 1',
  ])('is none of these: %s', (text) => {
    expect(refusalOf(text)).toBeUndefined();
  });
});
