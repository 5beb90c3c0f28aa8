import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readPrivateFile } from '@concordat/foundation';
import { createApiToken, faultOfRequest, hashOf, isApiToken, parseApiTokens } from './api-tokens.js';
import { parseKeyFile } from './key-file.js';
import { isPrincipalName } from './principal.js';
import { formatGrants, parseGrants } from './roles.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-credentials-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('an API token', () => {
  it('is known by the line that was printed with it, and the line does not hold it', () => {
    const made = createApiToken({ name: 'orders', roles: ['client', 'participant:orders'], until: '2027-01-31' });
    expect(isApiToken(made.token)).toBe(true);
    expect(made.line).not.toContain(made.token);
    const parsed = parseApiTokens(`# services\n\n  ${made.line}\r\n`);
    const found = parsed.ok ? parsed.tokens.get(hashOf(made.token)) : undefined;
    expect(found).toEqual({
      name: 'orders',
      roles: new Set(['client', 'participant']),
      participants: ['orders'],
      expiresAt: Date.UTC(2027, 1, 1),
    });
    expect(createApiToken({ name: 'orders', roles: ['client'] }).token).not.toBe(made.token);
  });

  it.each([
    [{ name: '', roles: ['client'] }, 'the name is ""'],
    [{ name: 'a b', roles: ['client'] }, 'the name is "a b"'],
    [{ name: 'a', roles: [] }, 'needs a role'],
    [{ name: 'a', roles: ['root'] }, 'there is no role "root"; there are: client'],
    [{ name: 'a', roles: ['participant'] }, 'there is no role "participant"'],
    [{ name: 'a', roles: ['client'], until: '2027-02-31' }, 'until is "2027-02-31"'],
    [{ name: 'a', roles: ['client'], until: 'tomorrow' }, 'until is "tomorrow"'],
  ])('cannot be made of %j', (request, fault) => expect(faultOfRequest(request)).toContain(fault));

  const hash = 'ab'.repeat(32);
  it.each([
    ['a token itself', `cct_${'a'.repeat(43)}`, 'line 1 is a token itself, where its hash belongs'],
    ['a short hash', 'sha256:abcd orders client', 'line 1 has another form'],
    ['no role', `sha256:${hash} orders`, 'line 1 has another form'],
    ['an unknown role', `sha256:${hash} orders client,root`, 'line 1 is wrong: there is no role "root"'],
    ['a wrong day', `sha256:${hash} orders client until=1.2.2027`, 'line 1 is wrong: until is "1.2.2027"'],
    ['a hash twice', `sha256:${hash} a client\nsha256:${hash} b operator`, 'line 2 has the hash of an earlier line'],
    ['binary', '\u0000\u0001\ufffd', 'line 1 has another form'],
  ])('is not read from a file with %s', (_name, text, fault) => {
    const parsed = parseApiTokens(text);
    expect(parsed.ok ? '' : parsed.expected).toContain(fault);
    expect(parsed.ok ? '' : parsed.expected).not.toContain(hash);
  });
});

describe('roles', () => {
  it('are read, and what is none is named', () => {
    const texts = ['client', 'participant:a', 'participant:b', 'participant:a', 'participant:', 'CLIENT', 'x'];
    const { grants, unknown } = parseGrants(texts);
    expect(formatGrants(grants)).toEqual(['client', 'participant:a', 'participant:b']);
    expect(unknown).toEqual(['participant:', 'CLIENT', 'x']);
  });
});

describe('the name of a principal', () => {
  it.each(['alice', 'auth0|5f7c', 'Zoë M.', 'spiffe://a/b', 'a'.repeat(200)])('may be %j', (name) =>
    expect(isPrincipalName(name)).toBe(true),
  );
  it.each(['', ' ', ' a', 'a\nb', 'a\u2028b', 'a\u202eb', 'a\ud800', 'a'.repeat(201), 7, null, undefined, ['a']])(
    'may not be %j',
    (name) => expect(isPrincipalName(name)).toBe(false),
  );
});

describe('a private file', () => {
  const made = (name: string, mode: number): string => {
    const file = join(directory, name);
    writeFileSync(file, 'text');
    chmodSync(file, mode);
    return file;
  };

  it.each([0o600, 0o400, 0o700])('with mode %i is read', (mode) => {
    expect(readPrivateFile(made(`right-${mode}`, mode), 'secret')).toEqual({ ok: true, text: 'text' });
  });

  it.each([0o644, 0o604, 0o660, 0o620, 0o601])('with mode %i is refused, and the right mode is named', (mode) => {
    const octal = mode.toString(8).padStart(4, '0');
    const expected = `its mode is ${octal}, and 0600 would be right (chmod 0600)`;
    expect(readPrivateFile(made(`wrong-${mode}`, mode), 'secret')).toMatchObject({
      ok: false,
      expected: expect.stringContaining(expected),
    });
  });

  it.each([
    [0o644, true],
    [0o664, false],
    [0o646, false],
  ])('of trust with mode %i is read: %s', (mode, ok) => {
    expect(readPrivateFile(made(`trusted-${mode}`, mode), 'trusted').ok).toBe(ok);
  });

  it.each(['missing', '.', 'loop'])('that is %s is refused with a reason', (name) => {
    if (name === 'loop') symlinkSync('loop', join(directory, 'loop'));
    expect(readPrivateFile(join(directory, name), 'secret')).toMatchObject({
      ok: false,
      expected: expect.stringMatching(/^the path of a (readable )?file/),
    });
  });
});

describe('a file with keys', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const jwk = publicKey.export({ format: 'jwk' });

  it('may hold one in PEM, or a set in JSON', () => {
    expect(parseKeyFile(pem)).toMatchObject({ ok: true, set: { keys: [{ kty: 'EC' }], isNamed: false } });
    expect(parseKeyFile(JSON.stringify({ keys: [jwk, jwk] }))).toMatchObject({ ok: true, set: { isNamed: true } });
  });

  it.each([
    ['a private key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'it holds a private key'],
    [
      'a private key in a set',
      JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }),
      'private or symmetric',
    ],
    ['a symmetric key', JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA' }] }), 'private or symmetric'],
    ['two in PEM', `${pem}\n${pem}`, 'several keys in PEM'],
    ['nothing', '', 'it has none'],
    ['text', 'hello', 'it has none'],
    ['broken PEM', '-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----', 'it cannot be read'],
    ['broken JSON', '{', 'it is not valid JSON'],
    ['a set without keys', '{"keys":[]}', 'no key in it'],
    ['a key that is none', '{"keys":[null]}', 'has the type'],
  ])('may not hold %s', (_name, text, fault) => {
    const parsed = parseKeyFile(text);
    expect(parsed.ok ? '' : parsed.expected).toContain(fault);
  });
});
