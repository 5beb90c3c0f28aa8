import { Socket } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  randomChance,
  randomInteger,
  randomItem,
  SeededRandom,
  silentLogger,
  type Random,
} from '@concordat/foundation';
import { Authentication } from './authentication.js';
import { createApiToken } from './credentials/api-tokens.js';
import { CredentialRefusedError } from './errors.js';
import { FileKeys } from './file-keys.js';
import { JwtAuthenticator } from './jwt-authenticator.js';
import { KnownPrincipals } from './known-principals.js';
import { AUDIENCE, ISSUER, TestIssuer } from './testing/issuer.js';
import { TokenAuthenticator } from './token-authenticator.js';

/** Of each kind: with `npm run test:nightly` all, otherwise what fits into the suite. */
const COUNT = process.env['CONCORDAT_NIGHTLY'] === '1' ? 100_000 : 10_000;
const TIMEOUT_MS = 300_000;
const KINDS = ['JWT', 'API token'] as const;
const AT_ONCE = 64;
const MOMENT = Date.UTC(2026, 5, 1);
const HEADS = [
  { alg: 'none' },
  { alg: 'HS256' },
  { alg: 'ES256' },
  { kid: '../key-1' },
  { kid: ['key-1'] },
  { crit: ['exp'] },
];
const CHARACTERS = 'ABCabc019-_.~+/= \u0000\r\n"{}%\u00e4';

let directory: string;
let authentication: Authentication;
let originals: Readonly<Record<(typeof KINDS)[number], string>>;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-auth-'));
  const issuer = await TestIssuer.create('RS256'); // the quickest to verify
  const [keys, tokens] = [join(directory, 'keys.json'), join(directory, 'tokens')];
  const api = createApiToken({ name: 'orders', roles: ['client', 'operator'] });
  writeFileSync(keys, JSON.stringify(await issuer.keySet()));
  writeFileSync(tokens, `${api.line}\n`, { mode: 0o600 });
  const [now, monotonic] = [() => MOMENT, () => 0];
  authentication = new Authentication([
    new TokenAuthenticator({ path: tokens, now, monotonic, logger: silentLogger }),
    new JwtAuthenticator({
      keys: new FileKeys({ path: keys, monotonic, logger: silentLogger }),
      known: new KnownPrincipals(monotonic),
      now,
      issuer: ISSUER,
      audience: AUDIENCE,
      algorithms: ['RS256'],
      roleClaim: 'roles',
    }),
  ]);
  const jwt = await issuer.token(MOMENT, ['operator']);
  originals = { JWT: `Bearer ${jwt}`, 'API token': `Bearer ${api.token}` };
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Another text that looks much like the original. */
function mutate(original: string, random: Random): string {
  const at = positionIn(original, random);
  const text = CHARACTERS[randomInteger(random, 0, CHARACTERS.length - 1)]!;
  const parts = original.split('.');
  const mutations = [
    () => original.slice(0, at) + text + original.slice(at + 1),
    () => original.slice(0, at) + text + original.slice(at),
    () => original.slice(0, at) + original.slice(at + 1),
    () => original.slice(0, at),
    () => original + text.repeat(randomInteger(random, 1, 9_000)),
    () => original.replace('Bearer', randomItem(random, ['Basic', 'bearer ', 'Bearer\t', 'BEARER  x', 'Token', ''])),
    () => parts.toReversed().join('.'),
    () => parts.slice(0, randomInteger(random, 0, 2)).join('.'),
    () =>
      `Bearer ${headOf(randomItem(random, HEADS))}.${parts[1] ?? ''}.${randomChance(random, 0.5) ? '' : (parts[2] ?? '')}`,
    () => (randomChance(random, 0.5) ? original.toLowerCase() : original.toUpperCase()),
  ];
  return randomItem(random, mutations)();
}

/** In each part of a token equally often, and in the scheme: where it is wrong decides how far it comes. */
function positionIn(original: string, random: Random): number {
  const starts = [0, 'Bearer '.length, ...[...original.matchAll(/\./g)].map(({ index }) => index)];
  const part = randomInteger(random, 0, starts.length - 1);
  return randomInteger(random, starts[part]!, (starts[part + 1] ?? original.length) - 1);
}

function headOf(head: object): string {
  return Buffer.from(JSON.stringify({ alg: 'RS256', kid: 'key-1', ...head })).toString('base64url');
}

/** Base64 ignores some bits of a last character, and the scheme has no case: the same credential in other letters. */
function isSame(mutant: string, originalText: string): boolean {
  const bytes = (text: string): string =>
    text
      .replace(/^bearer +/i, '')
      .split('.')
      .map((part) => Buffer.from(part, 'base64url').toString('hex'))
      .join('.');
  return mutant.includes('.')
    ? bytes(mutant) === bytes(originalText)
    : mutant.replace(/^bearer +/i, 'Bearer ') === originalText;
}

describe.each(KINDS)('a mutated %s', (kind) => {
  it(
    `is refused, ${COUNT} times`,
    async () => {
      const random = new SeededRandom(14);
      const socket = new Socket();
      const accepted: string[] = [];
      const strange: unknown[] = [];
      const original = originals[kind];
      const show = async (): Promise<void> => {
        const mutant = mutate(original, random);
        try {
          await authentication.identify({ rawHeaders: ['Host', 'a', 'Authorization', mutant], socket });
          if (!isSame(mutant, original)) accepted.push(mutant);
        } catch (error) {
          if (!(error instanceof CredentialRefusedError)) strange.push(error);
        }
      };
      for (let count = 0; count < COUNT; count += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, show));
      expect(accepted).toEqual([]);
      expect(strange).toEqual([]);
      expect(await authentication.identify({ rawHeaders: ['Authorization', original], socket })).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
