import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatProblems } from '@concordat/foundation';
import { parseConfig } from './config.js';

const REQUIRED = {
  CONCORDAT_PARTICIPANT: 'bank-a',
  CONCORDAT_HTTP: '127.0.0.1:8091',
  KAFKA_BROKERS: 'kafka:9092',
  DATABASE_URL: 'postgres://bank_a@db:5432/bank_a',
};

let directory: string;
const file = (name: string): string => path.join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'concordat-bank-'));
  for (const [name, mode] of Object.entries({ password: 0o600, shown: 0o644, 'ca.pem': 0o644, key: 0o600 })) {
    writeFileSync(file(name), 'x', { mode });
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

const problemsOf = (change: Readonly<Record<string, string>>): string => {
  const result = parseConfig({ ...REQUIRED, ...change });
  return result.ok ? '' : formatProblems(result.problems);
};
const databaseOf = (change: Readonly<Record<string, string>>): unknown => {
  const result = parseConfig({ ...REQUIRED, ...change });
  return result.ok ? result.config.database : formatProblems(result.problems);
};

describe('the database of a bank', () => {
  it('is what DATABASE_URL says, alone', () => {
    expect(databaseOf({})).toEqual({ connectionString: REQUIRED.DATABASE_URL });
  });

  it('has TLS and a password from files', () => {
    const certificate = { DATABASE_TLS_CERT: file('ca.pem'), DATABASE_TLS_KEY: file('key') };
    const settings = { DATABASE_TLS_CA: file('ca.pem'), DATABASE_PASSWORD_FILE: file('password'), ...certificate };
    const tls = { mode: 'verify-full', ca: file('ca.pem'), certificate: file('ca.pem'), key: file('key') };
    const passwordFile = file('password');
    expect(databaseOf(settings)).toEqual({ connectionString: REQUIRED.DATABASE_URL, passwordFile, tls });
    expect(databaseOf({ DATABASE_SSLMODE: 'prefer' })).toMatchObject({ tls: { mode: 'prefer' } });
  });

  it.each<[what: string, change: () => Readonly<Record<string, string>>, told: string]>([
    [
      'an unknown mode',
      () => ({ DATABASE_SSLMODE: 'on' }),
      'DATABASE_SSLMODE="on" is wrong; it must be one of disable',
    ],
    ['a file that others may read', () => ({ DATABASE_PASSWORD_FILE: file('shown') }), 'chmod 0600'],
    [
      'no file',
      () => ({ DATABASE_TLS_CA: '/nowhere' }),
      'DATABASE_TLS_CA="/nowhere" is wrong; it must be the path of a readable',
    ],
    [
      'a key without its certificate',
      () => ({ DATABASE_TLS_KEY: file('key') }),
      'only one of client certificate and key',
    ],
    ['verify-ca without an authority', () => ({ DATABASE_SSLMODE: 'verify-ca' }), 'without an authority'],
    [
      'two passwords',
      () => ({ DATABASE_URL: 'postgres://a:secret@db/b', DATABASE_PASSWORD_FILE: file('password') }),
      'left out, or the password in DATABASE_URL',
    ],
    [
      'TLS in the URL, too',
      () => ({ DATABASE_URL: `${REQUIRED.DATABASE_URL}?sslmode=require`, DATABASE_SSLMODE: 'verify-full' }),
      'where DATABASE_URL has sslmode',
    ],
  ])('is refused with what to set: %s', (_what, change, told) => {
    const problems = problemsOf(change());
    expect(problems).toContain(told);
    expect(problems).not.toContain('secret');
  });
});
