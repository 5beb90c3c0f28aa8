import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@concordat/foundation';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import {
  authenticationFrom,
  createApiToken,
  type Authentication,
} from '../../../apps/coordinator/src/service/index.js';
import { formatTable, type Bar } from '../report.js';
import { median } from '../statistics.js';

export interface AuthOptions {
  readonly rounds: number;
  readonly seconds: number;
}

export interface AuthResult {
  readonly credential: string;
  /** median of all rounds, for one request */
  readonly microseconds: number;
}

const ISSUER = 'https://issuer.example/';
const AUDIENCE = 'concordat';
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const;
/** Each is verified once by each new authentication, which knows none of them. */
const NEW_TOKENS = 200;
/** The headers of a request of the client library, with the credential among them. */
const HEADERS = ['host', '127.0.0.1:8081', 'connection', 'keep-alive', 'content-type', 'application/json'];

interface Signer {
  readonly algorithm: string;
  readonly key: CryptoKey;
}

/** What it costs to say who sends a request, with credentials that are known and with new ones. In this process. */
export async function runAuthWorkload(options: AuthOptions): Promise<{ result: readonly AuthResult[]; bars: Bar[] }> {
  const directory = mkdtempSync(path.join(tmpdir(), 'concordat-bench-auth-'));
  try {
    const { signers, keys } = await makeKeys();
    const api = createApiToken({ name: 'bench', roles: ['client'] });
    const [keyFile, tokenFile] = [path.join(directory, 'keys.json'), path.join(directory, 'tokens')];
    writeFileSync(keyFile, JSON.stringify({ keys }), { mode: 0o600 });
    writeFileSync(tokenFile, api.line, { mode: 0o600 });
    const fresh = (): Promise<Authentication> => {
      const jwt = { keys: { file: keyFile }, issuer: ISSUER, audience: AUDIENCE, algorithms: [...ALGORITHMS] };
      const settings = {
        tokenFile,
        jwt: { ...jwt, roleClaim: 'roles' },
        rateLimit: 1,
        refusedLimit: 1,
        anonymousLimit: 1,
        invitations: 'off' as const,
      };
      return authenticationFrom(settings, silentLogger);
    };
    const result: AuthResult[] = [];
    const add = async (credential: string, run: (limitMs: number) => Promise<number>): Promise<void> => {
      await run(500); // warm-up
      const samples: number[] = [];
      for (let round = 0; round < options.rounds; round++) samples.push(await run(options.seconds * 1_000));
      result.push({ credential, microseconds: median(samples) });
    };
    const known = await fresh();
    for (const signer of signers) {
      const [token] = await tokensOf(signer, 1);
      await known.identify(senderOf(token!));
      await add(`JWT, ${signer.algorithm}, known`, (limitMs) => showKnown(known, token!, limitMs));
    }
    await add('API token', (limitMs) => showKnown(known, api.token, limitMs));
    for (const signer of signers) {
      const tokens = await tokensOf(signer, NEW_TOKENS);
      await add(`JWT, ${signer.algorithm}, new`, (limitMs) => showNew(fresh, tokens, limitMs));
    }
    return { result, bars: result.map(({ credential, microseconds }) => ({ label: credential, value: microseconds })) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export function authTable(rows: readonly AuthResult[]): string {
  const lines = rows.map(({ credential, microseconds }) => [credential, microseconds.toFixed(1)]);
  return formatTable(['credential', 'µs for a request'], lines);
}

async function makeKeys(): Promise<{ readonly signers: readonly Signer[]; readonly keys: readonly JWK[] }> {
  const signers: Signer[] = [];
  const keys: JWK[] = [];
  for (const algorithm of ALGORITHMS) {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    signers.push({ algorithm, key: privateKey });
    keys.push({ ...(await exportJWK(publicKey)), kid: algorithm });
  }
  return { signers, keys };
}

function tokensOf({ algorithm, key }: Signer, count: number): Promise<string[]> {
  const sign = (place: number): Promise<string> =>
    new SignJWT({ roles: ['client', 'participant:bench'], jti: String(place) })
      .setProtectedHeader({ alg: algorithm, kid: algorithm })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject('bench')
      .setIssuedAt()
      .setExpirationTime('2h')
      .sign(key);
  return Promise.all(Array.from({ length: count }, (_, place) => sign(place)));
}

const socket = new Socket();

/** As a request shows it: the header is another text each time. */
function senderOf(token: string) {
  return { rawHeaders: [...HEADERS, 'authorization', `Bearer ${token}`], socket };
}

/** @returns microseconds for a request */
async function showKnown(authentication: Authentication, token: string, limitMs: number): Promise<number> {
  const start = performance.now();
  let count = 0;
  do {
    for (let more = 0; more < 1_000; more++) await authentication.identify(senderOf(token));
    count += 1_000;
  } while (performance.now() - start < limitMs);
  return ((performance.now() - start) * 1_000) / count;
}

async function showNew(
  fresh: () => Promise<Authentication>,
  tokens: readonly string[],
  limitMs: number,
): Promise<number> {
  let [spentMs, count] = [0, 0];
  do {
    const authentication = await fresh();
    await authentication.identify(senderOf(tokens[0]!)); // the key is read with it
    const start = performance.now();
    for (const token of tokens.slice(1)) await authentication.identify(senderOf(token));
    spentMs += performance.now() - start;
    count += tokens.length - 1;
  } while (spentMs < limitMs);
  return (spentMs * 1_000) / count;
}
