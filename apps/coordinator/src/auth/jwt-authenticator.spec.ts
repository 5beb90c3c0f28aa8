import { createHmac } from 'node:crypto';
import { Socket } from 'node:net';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { JWK } from 'jose';
import type { Presented } from './authenticator.js';
import { AuthenticationUnavailableError } from './errors.js';
import { JwtAuthenticator } from './jwt-authenticator.js';
import { KNOWN_FOR_MS, KnownPrincipals } from './known-principals.js';
import { AUDIENCE, ISSUER, TestIssuer } from './testing/issuer.js';
import { KeyRing, type VerificationKeys } from './verification-keys.js';

const MOMENT = Date.UTC(2026, 5, 1);
const [RSA, EC] = ['RS256', 'ES256'] as const;

let issuer: TestIssuer;
let rsa: TestIssuer;
let stranger: TestIssuer;
beforeAll(async () => {
  [issuer, rsa, stranger] = await Promise.all([
    TestIssuer.create(EC),
    TestIssuer.create(RSA, 'rsa-1'),
    TestIssuer.create(EC),
  ]);
});

let elapsed = 0;
let verifications = 0;
/** undefined: the issuer could not be read for too long */
let ring: KeyRing | undefined;
let authenticator: JwtAuthenticator;
beforeEach(async () => {
  [elapsed, verifications] = [0, 0];
  authenticator = await authenticatorWith();
});

async function authenticatorWith(changes: { readonly roleClaim?: string } = {}): Promise<JwtAuthenticator> {
  ring = new KeyRing(await issuer.keySet(rsa));
  const keys: VerificationKeys = {
    keyFor: async (header) => {
      verifications++;
      if (!ring) throw new AuthenticationUnavailableError('the keys of the issuer cannot be read now');
      return ring.keyFor(header, () => ring);
    },
  };
  return new JwtAuthenticator({
    keys,
    known: new KnownPrincipals(() => elapsed),
    now: () => MOMENT + elapsed,
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: [RSA, EC],
    roleClaim: changes.roleClaim ?? 'roles',
  });
}

/** The same key, of which something else is said. */
async function ringOf(changes: JWK): Promise<KeyRing> {
  return new KeyRing({ keys: [{ ...(await issuer.jwk()), ...changes }] });
}

function presented(bearer: string, beforeWork: () => void = () => undefined): Presented {
  return { bearer, socket: new Socket(), rawHeaders: [], beforeWork };
}

async function principalOf(token: string, from = authenticator) {
  return from.authenticate(presented(token));
}

describe('a JWT', () => {
  it('says who its bearer is, and what it may do', async () => {
    const token = await issuer.token(MOMENT, ['client', 'participant:bank-a', 'admin-of-something-else']);
    expect(await principalOf(token)).toMatchObject({
      id: 'jwt:alice',
      roles: new Set(['client', 'participant']),
      participants: ['bank-a'],
      expiresAt: MOMENT + 305_000,
    });
  });

  it.each([
    ['a text with spaces', 'roles', { roles: 'observer metrics' }],
    ['the member of a claim', 'realm_access.roles', { realm_access: { roles: ['observer', 'metrics'] } }],
    [
      'a claim with dots in its name',
      'https://a.example/roles',
      { 'https://a.example/roles': ['observer', 'metrics'] },
    ],
  ])('has its roles as %s', async (_name, roleClaim, claims) => {
    const from = await authenticatorWith({ roleClaim });
    const token = await issuer.token(MOMENT, [], { claims });
    expect(await principalOf(token, from)).toMatchObject({ roles: new Set(['observer', 'metrics']) });
  });

  it.each([[17], [{ a: 1 }], [null], [[1, {}, null]], [['', '__proto__', 'participant:', 'participant:A b']]])(
    'with the roles %j may do nothing',
    async (roles) => {
      const token = await issuer.token(MOMENT, [], { claims: { roles: roles } });
      expect(await principalOf(token)).toMatchObject({ roles: new Set(), participants: [] });
    },
  );

  it('may have several audiences, and be signed by RSA', async () => {
    const token = await rsa.token(MOMENT, ['client'], { claims: { aud: ['other', AUDIENCE] } });
    expect(await principalOf(token)).toMatchObject({ id: 'jwt:alice' });
  });

  it('is verified once a minute, and never known beyond its end', async () => {
    const token = await issuer.token(MOMENT);
    await principalOf(token);
    expect(authenticator.authenticate(presented(token))).toMatchObject({ id: 'jwt:alice' }); // at once
    elapsed = KNOWN_FOR_MS - 1;
    await principalOf(token);
    expect(verifications).toBe(1);
    elapsed = KNOWN_FOR_MS;
    await principalOf(token);
    expect(verifications).toBe(2);
    elapsed = 305_000;
    await expect(principalOf(token)).rejects.toMatchObject({ reason: 'expired' });
  });

  it.each<[string, () => Promise<KeyRing | undefined>, boolean]>([
    ['stays beside others', async () => new KeyRing(await rsa.keySet(issuer, stranger)), true],
    ['may be for signatures by its algorithm alone', () => ringOf({ alg: EC }), true],
    ['is withdrawn', async () => new KeyRing(await rsa.keySet()), false],
    ['is another one by the same name', async () => new KeyRing(await stranger.keySet()), false],
    ['has another name', () => ringOf({ kid: 'key-2' }), false],
    ['is for another algorithm', () => ringOf({ alg: 'ES384' }), false],
    ['is for encryption', () => ringOf({ use: 'enc' }), false],
    ['is none any more', () => ringOf({ x: 'AA' }), false],
    ['cannot be read for too long', async () => undefined, false],
  ])('whose key %s', async (_name, next, counts) => {
    const token = await issuer.token(MOMENT);
    const principal = await principalOf(token);
    expect(principal?.counts?.()).toBe(true);
    ring = await next();
    expect(principal?.counts?.()).toBe(counts);
    if (counts)
      expect(authenticator.authenticate(presented(token))).toBe(principal); // known as before
    else await expect(principalOf(token)).rejects.toBeInstanceOf(Error);
    expect(verifications).toBe(counts ? 1 : 2);
    ring = new KeyRing(await issuer.keySet()); // and back again
    expect(principal?.counts?.()).toBe(true);
  });

  it('counts while its key does, also a key without a name', async () => {
    const keys = await issuer.keySet(stranger);
    ring = new KeyRing({ keys: keys.keys.slice(0, 1) }, false);
    const principal = await principalOf(await issuer.token(MOMENT, [], { header: { kid: 'whatever' } }));
    ring = new KeyRing({ keys: keys.keys.slice(0, 1) }, false);
    expect(principal?.counts?.()).toBe(true);
    ring = new KeyRing({ keys: keys.keys.slice(1) }, false);
    expect(principal?.counts?.()).toBe(false);
  });

  it.each(['RS256', 'PS256', 'ES384', 'EdDSA'])('of %s counts when its key was read again', async (algorithm) => {
    const signer = await TestIssuer.create(algorithm);
    const head = { alg: algorithm, kid: 'key-1' };
    const { counts } = await new KeyRing(await signer.keySet()).keyFor(head, () => ring);
    ring = new KeyRing(await signer.keySet());
    expect(counts()).toBe(true);
    ring = new KeyRing(await (await TestIssuer.create(algorithm)).keySet());
    expect(counts()).toBe(false);
  });

  it('asks before it works, but not for a token that is known', async () => {
    const token = await issuer.token(MOMENT);
    await principalOf(token);
    const refuse = (): never => {
      throw new Error('not now');
    };
    expect(authenticator.authenticate(presented(token, refuse))).toMatchObject({ id: 'jwt:alice' });
    const other = await issuer.token(MOMENT, ['observer']);
    expect(() => authenticator.authenticate(presented(other, refuse))).toThrow('not now');
  });

  it('leaves API tokens and requests without a token to others', () => {
    expect(authenticator.authenticate({ ...presented(''), bearer: undefined })).toBeUndefined();
    expect(authenticator.authenticate(presented('cct_abc'))).toBeUndefined();
  });
});

/** A token with another head, for which nothing of the rest is right any more. */
function unsigned(header: object, payload: object, signature = ''): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(payload)}.${signature}`;
}

const CLAIMS = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', roles: ['operator'], exp: MOMENT / 1_000 + 300 };

describe('a JWT that is refused', () => {
  it.each<[string, string, () => Promise<string> | string]>([
    ['expired', 'expired', () => issuer.token(MOMENT, ['client'], { expiresIn: -6 })],
    ['not valid yet', 'not-yet-valid', () => issuer.token(MOMENT, ['client'], { claims: { nbf: MOMENT / 1_000 + 6 } })],
    ['of another issuer', 'issuer', () => issuer.token(MOMENT, ['client'], { claims: { iss: `${ISSUER}x` } })],
    ['of no issuer', 'claims', () => issuer.token(MOMENT, ['client'], { claims: { iss: undefined } })],
    ['for another audience', 'audience', () => issuer.token(MOMENT, ['client'], { claims: { aud: 'bank' } })],
    ['for no audience', 'claims', () => issuer.token(MOMENT, ['client'], { claims: { aud: undefined } })],
    ['without a subject', 'claims', () => issuer.token(MOMENT, ['client'], { claims: { sub: undefined } })],
    ['with a subject of two lines', 'claims', () => issuer.token(MOMENT, [], { claims: { sub: 'a\nALERT b' } })],
    ['with a subject that is long', 'claims', () => issuer.token(MOMENT, [], { claims: { sub: 'a'.repeat(201) } })],
    ['signed by somebody else', 'signature', () => stranger.token(MOMENT, ['operator'])],
    ['with an unknown kid', 'unknown-key', () => issuer.token(MOMENT, ['client'], { header: { kid: 'key-2' } })],
    ['with a path as kid', 'unknown-key', () => issuer.token(MOMENT, [], { header: { kid: '../../../dev/null' } })],
    ['with an URL as kid', 'unknown-key', () => issuer.token(MOMENT, [], { header: { kid: 'http://127.0.0.1:1/' } })],
    [
      'with the kid of a key of another kind',
      'unknown-key',
      () => issuer.token(MOMENT, [], { header: { kid: 'rsa-1' } }),
    ],
    [
      'with its own key',
      'signature',
      async () => stranger.token(MOMENT, [], { header: { jwk: await stranger.jwk() } }),
    ],
    [
      'with the URL of its keys',
      'signature',
      () => stranger.token(MOMENT, [], { header: { jku: 'http://127.0.0.1:1/' } }),
    ],
    ['with the algorithm none', 'algorithm', () => unsigned({ alg: 'none' }, CLAIMS)],
    ['with the algorithm None', 'algorithm', () => unsigned({ alg: 'None' }, CLAIMS, 'AA')],
    ['without an algorithm', 'malformed', () => unsigned({}, CLAIMS, 'AA')],
    ['with an algorithm that is not on the list', 'algorithm', () => unsigned({ alg: 'PS256' }, CLAIMS, 'AA')],
    ['with what has to be understood', 'malformed', () => unsigned({ alg: EC, crit: ['x'], x: 1 }, CLAIMS, 'AA')],
    ['of two parts', 'malformed', () => 'a.b'],
    ['of four parts', 'malformed', () => 'a.b.c.d'],
    ['of five parts: encrypted', 'malformed', () => 'a.b.c.d.e'],
    ['of empty parts', 'malformed', () => '..'],
    ['that is no JSON', 'malformed', () => 'abc.abc.abc'],
    ['that is a list', 'malformed', () => unsigned([], CLAIMS, 'AA')],
    ['that is huge', 'malformed', () => 'a'.repeat(8_000)],
  ])('%s', async (_name, reason, make) => {
    const token = await make();
    await expect(principalOf(token)).rejects.toMatchObject({ code: 'UNAUTHENTICATED', reason });
  });

  it.each(['HS256', 'HS384', 'HS512'])('signed by %s with the public key as secret', async (alg) => {
    const head = unsigned({ alg, kid: 'key-1' }, CLAIMS).replace(/\.$/, '');
    for (const secret of [await issuer.pem(), await rsa.pem(), JSON.stringify(await issuer.jwk())]) {
      const signature = createHmac(`sha${alg.slice(2)}`, secret)
        .update(head)
        .digest('base64url');
      await expect(principalOf(`${head}.${signature}`)).rejects.toMatchObject({ reason: 'algorithm' });
    }
  });

  it('learns more than that only when its signature is right', async () => {
    const expired = { expiresIn: -6 };
    await expect(principalOf(await issuer.token(MOMENT, [], expired))).rejects.toThrow('the token has expired');
    await expect(principalOf(await stranger.token(MOMENT, [], expired))).rejects.toThrow(
      'the log of the node says why',
    );
  });

  it('is refused at its second showing as at its first', async () => {
    const token = await stranger.token(MOMENT, ['operator']);
    await expect(principalOf(token)).rejects.toMatchObject({ reason: 'signature' });
    await expect(principalOf(token)).rejects.toMatchObject({ reason: 'signature' });
  });
});

describe('the tokens that are known', () => {
  it('are as many as there is room for, the latest ones', () => {
    const known = new KnownPrincipals(() => 0, 2);
    const principal = { id: 'jwt:a', roles: new Set(['client'] as const), participants: [] };
    for (const token of ['a', 'b']) known.remember(token, principal, 1_000);
    expect(known.find('a')).toBe(principal);
    known.remember('c', principal, 1_000);
    expect(known.size).toBe(2);
    expect([known.find('a'), known.find('b'), known.find('c')]).toEqual([principal, undefined, principal]);
  });

  it('are forgotten when they count no longer', () => {
    const known = new KnownPrincipals(() => 0);
    let counts = true;
    const principal = { id: 'jwt:a', roles: new Set(['client'] as const), participants: [], counts: () => counts };
    known.remember('a', principal, 1_000);
    expect(known.find('a')).toBe(principal);
    counts = false;
    expect([known.find('a'), known.size]).toEqual([undefined, 0]);
  });
});
