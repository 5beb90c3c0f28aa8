import { describe, expect, it } from '@jest/globals';
import { isPlain } from './plain-statements.js';

describe('a plain statement', () => {
  it.each([
    'UPDATE account SET balance = balance - $2 WHERE id = $1 AND balance >= $2 RETURNING balance',
    'UPDATE account SET balance = balance + $2 WHERE id = $1 AND balance <= 9007199254740991 - $2::bigint',
    'SELECT balance FROM account WHERE id = $1 FOR UPDATE',
    'INSERT INTO item (id, quantity) VALUES ($1, 10) ON CONFLICT (id) DO UPDATE SET quantity = excluded.quantity',
    'INSERT INTO "account"("id", "balance") VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING "id"',
    'insert into "shop"."item"("id") select upper(name) from names where name in ($1, $2)',
    "UPDATE item SET note = 'set_config(1)' WHERE id = 'it''s'",
    'WITH taken AS (DELETE FROM item WHERE id = ANY ($1) RETURNING id) SELECT count(*) FROM taken -- set_config(1)',
    'MERGE INTO item USING (SELECT 1 AS id) new ON (item.id = new.id) WHEN NOT MATCHED THEN INSERT VALUES (new.id)',
    "DELETE FROM item; UPDATE item SET price = coalesce(price, 0)::numeric(10, 2), at = now(), word = '';",
  ])('is %s', (text) => {
    expect(isPlain(text)).toBe(true);
  });
});

describe('not plain, because the session must be searched for what it left, is', () => {
  it.each([
    'DO $$ BEGIN PERFORM 1; END $$',
    "DO 'BEGIN END'",
    'CALL tidy_up()',
    "SELECT set_config('work_mem', '1MB', false)",
    'SELECT pg_catalog.set_config($1, $2, false)',
    'SELECT "pg_advisory_lock"(42)',
    'SELECT pg_catalog."pg_advisory_lock" (42)',
    'SELECT our_function ($1)',
    "UPDATE item SET quantity = 1; SELECT nextval('counter')",
    'UPDATE item SET quantity = our_function(quantity)',
    'SELECT 1 AS x INTO TEMP scratch',
    'WITH x AS (SELECT 1) SELECT * INTO TEMP scratch FROM x',
    'SET LOCAL work_mem = 1',
    'CREATE TABLE x (id int)',
    'EXPLAIN SELECT 1',
  ])('%s', (text) => {
    expect(isPlain(text)).toBe(false);
  });

  it.each([
    ['a name that quotes a literal', `SELECT '"', set_config('a', 'b', false), '"'`],
    ['a backslash before the end of a literal', `SELECT '\\', set_config('a', 'b', false), ' '`],
    ['a dollar quote', `SELECT $a$ ' $a$, set_config('a', 'b', false), $a$ ' $a$`],
    ['nested comments', `SELECT /* /* */ ' */ set_config('a', 'b', false) -- '`],
    ['a comment that ends with a carriage return', `SELECT -- \r set_config('a', 'b', false)`],
    ['a function with a name of other letters', 'SELECT é($1)'],
  ])('one that hides a call behind %s', (_, text) => {
    expect(isPlain(text)).toBe(false);
  });

  it('anything that begins with another command', () => {
    for (const command of ['LOCK', 'LISTEN', 'PREPARE', 'DEALLOCATE', 'DECLARE', 'FETCH', 'EXECUTE', 'COPY'])
      expect([command, isPlain(`${command} x`)]).toEqual([command, false]);
  });
});
