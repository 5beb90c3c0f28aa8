import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { LocalAuthority } from '../authority/index.js';
import { formatProblems, readVariables, type VariableProblem } from '../environment.js';
import { checkClientTls, clientTlsPaths, CLIENT_TLS_VARIABLES } from './client-tls-variables.js';

const directory = mkdtempSync(path.join(tmpdir(), 'concordat-client-tls-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: Buffer, mode = 0o600): string {
  const at = path.join(directory, name);
  writeFileSync(at, content, { mode });
  return at;
}

const authority = LocalAuthority.create('authority');
const own = authority.issue({ subject: 'bank-a' });
const FILES = {
  CONCORDAT_CLIENT_TLS_CA: file('ca.pem', authority.certificate),
  CONCORDAT_CLIENT_TLS_CERT: file('own.pem', own.cert),
  CONCORDAT_CLIENT_TLS_KEY: file('own.key', own.key),
};
const ended = authority.issue({ subject: 'bank-a', notAfter: new Date('2021-01-01T00:00:00Z') });

function sentences(environment: Readonly<Record<string, string>>, coordinators: readonly string[] = []): string {
  const { values } = readVariables(CLIENT_TLS_VARIABLES, environment);
  const problems: VariableProblem[] = [];
  checkClientTls({ ...values, CONCORDAT_COORDINATORS: coordinators }, environment, problems);
  return formatProblems(problems);
}

describe('the certificates of a service for the coordinators', () => {
  it('are not needed', () => {
    expect(sentences({}, ['http://127.0.0.1:8081'])).toBe('');
    expect(clientTlsPaths({})).toBeUndefined();
  });

  it('are three files, and then the coordinators speak TLS', () => {
    expect(sentences(FILES, ['https://127.0.0.1:8081'])).toBe('');
    expect(clientTlsPaths(FILES)).toEqual({
      ca: FILES.CONCORDAT_CLIENT_TLS_CA,
      certificate: FILES.CONCORDAT_CLIENT_TLS_CERT,
      key: FILES.CONCORDAT_CLIENT_TLS_KEY,
    });
  });

  it.each<[string, Record<string, string>, string]>([
    [
      'an authority alone',
      { CONCORDAT_CLIENT_TLS_CA: FILES.CONCORDAT_CLIENT_TLS_CA },
      'CONCORDAT_CLIENT_TLS_KEY is not set; it must be set, too: CONCORDAT_CLIENT_TLS_CA alone is not enough',
    ],
    [
      'a key that others can read',
      { ...FILES, CONCORDAT_CLIENT_TLS_KEY: file('open.key', own.key, 0o644) },
      'chmod 0600',
    ],
    [
      'the key of another',
      { ...FILES, CONCORDAT_CLIENT_TLS_KEY: file('other.key', ended.key) },
      'the private key of the certificate',
    ],
    [
      'a certificate that has ended',
      {
        ...FILES,
        CONCORDAT_CLIENT_TLS_CERT: file('ended.pem', ended.cert),
        CONCORDAT_CLIENT_TLS_KEY: path.join(directory, 'other.key'),
      },
      'this one ended on',
    ],
    [
      'a file that is not there',
      { ...FILES, CONCORDAT_CLIENT_TLS_CA: '/nowhere/ca.pem' },
      'the path of a readable file',
    ],
  ])('refuse %s', (_what, environment, sentence) => {
    expect(sentences(environment)).toContain(sentence);
  });

  it('refuse coordinators in plain text', () => {
    expect(sentences(FILES, ['https://127.0.0.1:8081', 'http://127.0.0.1:8082'])).toContain(
      'it must be URLs with https: with CONCORDAT_CLIENT_TLS_CA the coordinators speak TLS',
    );
  });
});
