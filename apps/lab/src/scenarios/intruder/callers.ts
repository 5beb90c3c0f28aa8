import { createHmac, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tlsFetch } from '@concordat/foundation';
import { LabError } from '../../lab-error.js';
import type { LocalSecurity } from '../../local-system/security/local-security.js';
import { JWT_AUDIENCE, JWT_ISSUER } from '../../local-system/security/credentials.js';
import { waitUntil } from '../../local-system/wait.js';
import { describeAnswer, type Answer } from '../../rest.js';

/** Who calls REST: with what certificate and what token. */
export interface Caller {
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly token?: string;
}

export interface Call {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 20_000;

/** One request of somebody; he trusts the coordinators. */
export async function callAs(
  security: LocalSecurity,
  { token, ...tls }: Caller,
  url: string,
  call: Call = {},
): Promise<Answer> {
  const { method = 'GET', body, headers = {} } = call;
  const send = tlsFetch(() => ({ ca: security.access.ca, ...tls }));
  const response = await send(url, {
    method,
    headers: {
      ...headers,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true && text !== '';
  return { status: response.status, body: isJson ? (JSON.parse(text) as Answer['body']) : {} };
}

/** The answer as it is shown: status, code, and the sentence. */
export async function answerTo(security: LocalSecurity, caller: Caller, url: string, call?: Call): Promise<string> {
  return describeAnswer(await callAs(security, caller, url, call)).slice(0, 160);
}

/** Waits until each coordinator answers this caller with the status. @throws LabError */
export async function untilEachAnswers(
  security: LocalSecurity,
  urls: readonly string[],
  caller: Caller,
  status: number,
  timeoutMs = TIMEOUT_MS,
): Promise<void> {
  const isSo = async (): Promise<boolean> => {
    const answers = await Promise.all(urls.map((url) => callAs(security, caller, `${url}/v1/transactions?limit=1`)));
    return answers.every((answer) => answer.status === status);
  };
  if (await waitUntil(isSo, { timeoutMs, pollMs: 50 })) return;
  throw new LabError(`Not every coordinator answers with ${status} after ${timeoutMs / 1000} s.`);
}

/** Tokens that nobody has issued. */
export function forgedTokens({ credentials }: LocalSecurity): Readonly<Record<string, string>> {
  const [issuerKey] = (JSON.parse(readFileSync(credentials.jwtKeyFile, 'utf8')) as { keys: { kid: string }[] }).keys;
  const { kid } = issuerKey!;
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: JWT_ISSUER,
    aud: JWT_AUDIENCE,
    sub: 'intruder',
    roles: ['operator'],
    iat: now,
    exp: now + 3_600,
  };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = (header: object, changes: object = {}): string =>
    `${part(header)}.${part({ ...claims, ...changes })}`;
  const { privateKey } = generateKeyPairSync('ed25519');
  const own = createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const byOwnKey = unsigned({ alg: 'EdDSA', kid });
  const byPublicKey = unsigned({ alg: 'HS256', kid });
  return {
    'a token of random bytes': `cct_${randomBytes(32).toString('base64url')}`,
    'a JWT without a signature (alg none)': `${unsigned({ alg: 'none', kid })}.`,
    'a JWT that is signed with the public key as a secret (HS256)': `${byPublicKey}.${createHmac('sha256', JSON.stringify(issuerKey)).update(byPublicKey).digest('base64url')}`,
    'a JWT by another key, under the name of the issuer’s': `${byOwnKey}.${sign(null, Buffer.from(byOwnKey), own).toString('base64url')}`,
  };
}
