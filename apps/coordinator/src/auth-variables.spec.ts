import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatProblems } from '@concordat/foundation';
import { createApiToken } from './auth/credentials/api-tokens.js';
import { parseConfig } from './config.js';

let directory: string;
let tokens: string;
let keys: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-auth-variables-'));
  [tokens, keys] = [join(directory, 'tokens'), join(directory, 'key.pem')];
  writeFileSync(tokens, createApiToken({ name: 'orders', roles: ['client'] }).line, { mode: 0o600 });
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(keys, publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o644 });
});
afterAll(() => rmSync(directory, { recursive: true }));

function parse(changes: Readonly<Record<string, string>>) {
  return parseConfig({
    CONCORDAT_NODE_ID: '1',
    CONCORDAT_PEERS: '1=127.0.0.1:9081/127.0.0.1:8081',
    CONCORDAT_DATA_DIR: '/d',
    KAFKA_BROKERS: 'k:1',
    ...changes,
  });
}

function configOf(changes: Readonly<Record<string, string>>) {
  const result = parse(changes);
  if (!result.ok) throw new TypeError(formatProblems(result.problems));
  return result.config;
}

function problemsOf(changes: Readonly<Record<string, string>>): string {
  const result = parse(changes);
  return result.ok ? '' : formatProblems(result.problems);
}

const JWT = { CONCORDAT_AUTH_ISSUER: 'https://i/', CONCORDAT_AUTH_AUDIENCE: 'concordat' };
const URL_OF_KEYS = { CONCORDAT_AUTH_JWKS_URL: 'https://issuer.example/keys' };

describe('the settings of authentication', () => {
  it('are off by default, also with limits and an audit', () => {
    expect(configOf({})).toMatchObject({ auth: undefined, isOpen: undefined, rateLimit: undefined });
    expect(configOf({ CONCORDAT_RATE_LIMIT: '7', CONCORDAT_AUDIT_FILE: '/a' })).toMatchObject({
      auth: undefined,
      rateLimit: 7,
      auditFile: '/a',
    });
  });

  it('have defaults, and are on with a kind of credential', () => {
    expect(configOf({ CONCORDAT_AUTH_TOKEN_FILE: tokens }).auth).toEqual({
      tokenFile: tokens,
      jwt: undefined,
      rateLimit: 10_000,
      refusedLimit: 300,
      anonymousLimit: 600,
      invitations: 'off',
    });
    expect(configOf({ ...URL_OF_KEYS, ...JWT }).auth?.jwt).toEqual({
      keys: { url: 'https://issuer.example/keys' },
      issuer: 'https://i/',
      audience: 'concordat',
      algorithms: ['RS256', 'ES256', 'EdDSA'],
      roleClaim: 'roles',
    });
    const all = {
      CONCORDAT_AUTH_KEY_FILE: keys,
      CONCORDAT_AUTH_TOKEN_FILE: tokens,
      ...JWT,
      CONCORDAT_RATE_LIMIT: '9',
      CONCORDAT_INVITATIONS: 'require',
    };
    expect(configOf({ ...all, CONCORDAT_AUTH_ALGORITHMS: 'PS256, ES384,PS256' }).auth).toMatchObject({
      tokenFile: tokens,
      jwt: { keys: { file: keys }, algorithms: ['PS256', 'ES384'] },
      rateLimit: 9,
      invitations: 'require',
    });
  });

  it.each<[string, () => Record<string, string>, string]>([
    [
      'none beside a kind',
      () => ({ CONCORDAT_AUTH: 'none', CONCORDAT_AUTH_TOKEN_FILE: tokens }),
      '"required", or left out: CONCORDAT_AUTH_TOKEN_FILE asks',
    ],
    ['required without a kind', () => ({ CONCORDAT_AUTH: 'required' }), 'set together with CONCORDAT_AUTH_TOKEN_FILE'],
    ['another word', () => ({ CONCORDAT_AUTH: 'off' }), 'one of none, required'],
    [
      'keys of two places',
      () => ({ ...URL_OF_KEYS, CONCORDAT_AUTH_KEY_FILE: keys, ...JWT }),
      'left out: CONCORDAT_AUTH_JWKS_URL says',
    ],
    [
      'keys without an audience',
      () => ({ ...URL_OF_KEYS, CONCORDAT_AUTH_ISSUER: 'i' }),
      'CONCORDAT_AUTH_AUDIENCE is not set; it must be set, too',
    ],
    [
      'keys without an issuer',
      () => ({ ...URL_OF_KEYS, CONCORDAT_AUTH_AUDIENCE: 'a' }),
      'CONCORDAT_AUTH_ISSUER is not set',
    ],
    ['an audience without keys', () => ({ CONCORDAT_AUTH_AUDIENCE: 'a' }), 'set together with CONCORDAT_AUTH_JWKS_URL'],
    ['the algorithm none', () => ({ CONCORDAT_AUTH_ALGORITHMS: 'RS256,none' }), 'some of RS256'],
    ['a symmetric algorithm', () => ({ CONCORDAT_AUTH_ALGORITHMS: 'HS256' }), 'some of RS256'],
    [
      'keys over plain HTTP',
      () => ({ ...JWT, CONCORDAT_AUTH_JWKS_URL: 'http://issuer.example/keys' }),
      'a URL with https',
    ],
    [
      'a password in the URL',
      () => ({ ...JWT, CONCORDAT_AUTH_JWKS_URL: 'https://a:s3cret@issuer.example/' }),
      'without a password',
    ],
    [
      'keys in a file of this machine',
      () => ({ ...JWT, CONCORDAT_AUTH_JWKS_URL: 'file:///etc/passwd' }),
      'a URL with https',
    ],
    [
      'a file that is missing',
      () => ({ CONCORDAT_AUTH_TOKEN_FILE: '/nowhere/tokens' }),
      'it must be the path of a readable file (',
    ],
    ['a file with something else', () => ({ CONCORDAT_AUTH_TOKEN_FILE: keys }), '(chmod 0600)'],
    ['a key file with tokens', () => ({ CONCORDAT_AUTH_KEY_FILE: tokens, ...JWT }), 'a file with one public key'],
    ['invitations where nobody is asked', () => ({ CONCORDAT_INVITATIONS: 'require' }), 'everybody may join'],
    [
      'invitations that are only wished for',
      () => ({ CONCORDAT_INVITATIONS: 'warn', CONCORDAT_AUTH_TOKEN_FILE: tokens }),
      'one of off, require',
    ],
    ['no requests at all', () => ({ CONCORDAT_RATE_LIMIT: '0' }), 'a whole number from 1'],
  ])('refuse %s', (_name, changes, said) => {
    const problems = problemsOf(changes());
    expect(problems).toContain(said);
    expect(problems).not.toContain('s3cret');
  });

  it('take keys over plain HTTP from this machine', () => {
    for (const url of ['http://127.0.0.1:8080/keys', 'http://localhost/keys', 'http://[::1]:1/']) {
      expect(configOf({ ...JWT, CONCORDAT_AUTH_JWKS_URL: url }).auth?.jwt?.keys).toEqual({ url });
    }
  });

  it('refuse a file of tokens that others may read, and say which mode is right', () => {
    chmodSync(tokens, 0o640 | 0o004);
    expect(problemsOf({ CONCORDAT_AUTH_TOKEN_FILE: tokens })).toBe(
      `CONCORDAT_AUTH_TOKEN_FILE="${tokens}" is wrong; it must be a file that nobody but its owner may read: ` +
        'its mode is 0644, and 0600 would be right (chmod 0600)',
    );
    chmodSync(tokens, 0o600);
  });
});
