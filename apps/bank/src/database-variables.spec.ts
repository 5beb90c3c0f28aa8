import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatProblems } from '@concordat/foundation';
import { LocalAuthority } from '@concordat/foundation/authority';
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
  const authority = LocalAuthority.create('databases');
  const [own, other, ended] = [undefined, undefined, new Date('2021-01-01T00:00:00Z')].map((notAfter) =>
    authority.issue({ subject: 'bank-a', ...(notAfter && { notAfter }) }),
  );
  const files: Readonly<Record<string, readonly [content: string | Buffer, mode: number]>> = {
    password: ['x', 0o600],
    shown: ['x', 0o644],
    'ca.pem': [authority.certificate, 0o644],
    'own.pem': [own!.cert, 0o644],
    key: [own!.key, 0o600],
    'other.key': [other!.key, 0o600],
    'ended.pem': [ended!.cert, 0o644],
    'ended.key': [ended!.key, 0o600],
  };
  for (const [name, [content, mode]] of Object.entries(files)) writeFileSync(file(name), content, { mode });
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
    const certificate = { DATABASE_TLS_CERT: file('own.pem'), DATABASE_TLS_KEY: file('key') };
    const settings = { DATABASE_TLS_CA: file('ca.pem'), DATABASE_PASSWORD_FILE: file('password'), ...certificate };
    const tls = { mode: 'verify-full', ca: file('ca.pem'), certificate: file('own.pem'), key: file('key') };
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
    [
      'the key of another certificate',
      () => ({ DATABASE_TLS_CERT: file('own.pem'), DATABASE_TLS_KEY: file('other.key') }),
      'it must be the private key of the certificate',
    ],
    [
      'a certificate that has ended',
      () => ({ DATABASE_TLS_CERT: file('ended.pem'), DATABASE_TLS_KEY: file('ended.key') }),
      'it must be a certificate that is valid now; this one ended on',
    ],
    [
      'a certificate that is none',
      () => ({ DATABASE_TLS_CERT: file('shown'), DATABASE_TLS_KEY: file('key') }),
      'it must be the path of a file with a certificate in PEM',
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
