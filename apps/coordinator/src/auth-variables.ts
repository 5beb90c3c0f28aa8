import { isIP } from 'node:net';
import {
  oneOf,
  readPrivateFile,
  wholeNumber,
  type Environment,
  type VariableProblem,
  type VariableValues,
} from '@concordat/foundation';
import { parseApiTokens } from './auth/credentials/api-tokens.js';
import { parseKeyFile } from './auth/credentials/key-file.js';
import { variable } from './described-variable.js';

/** Algorithms with a public key. With the others the verifier could sign itself, or nobody has signed. */
export const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

/** By whom and for whom JWTs are made, and how they are verified. */
export interface JwtSettings {
  /** a URL of a JSON Web Key Set, or a file with keys */
  readonly keys: { readonly url: string } | { readonly file: string };
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** the claim with the roles; `a.b` also means the member b of the claim a */
  readonly roleClaim: string;
}

/** The credentials that the REST interface takes; at least one kind. */
export interface AuthSettings {
  readonly tokenFile: string | undefined;
  readonly jwt: JwtSettings | undefined;
  /** the cluster whose certificates say who a client is; undefined: none do */
  readonly certificatesOf?: string | undefined;
  /** requests of one principal per second */
  readonly rateLimit: number;
  /** refused credentials of one address per minute */
  readonly refusedLimit: number;
  /** requests of one address per minute that show no credential */
  readonly anonymousLimit: number;
  /** whether a participant that joins a transaction must show the invitation of that transaction */
  readonly invitations: 'off' | 'require';
}

const path = {
  default: null,
  expected: 'the path of a file',
  parse: (text: string): string | undefined => (text.includes('\0') ? undefined : text),
};

const DEFAULT_RATE_LIMIT = 10_000;

export const AUTH_VARIABLES = {
  CONCORDAT_AUTH: variable({
    meaning:
      'none: everybody who reaches the REST interface may do everything; required: it refuses to start without a kind of credential; default: required where a kind is set, none where REST listens on loopback only, and no start elsewhere',
    default: null,
    ...oneOf(['none', 'required'] as const),
  }),
  CONCORDAT_AUTH_TOKEN_FILE: variable({
    meaning:
      'file with the hashes of API tokens, read again when it changes; "concordat token create" makes lines for it',
    ...path,
  }),
  CONCORDAT_AUTH_JWKS_URL: variable({
    meaning:
      'URL of the keys (JSON Web Key Set) of the issuer of JWTs; fetched again for an unknown key, and each 10 min',
    default: null,
    expected: 'a URL with https, or with http on loopback, without a password',
    isSecret: true, // it may have one
    parse: parseKeysUrl,
  }),
  CONCORDAT_AUTH_KEY_FILE: variable({
    meaning:
      'instead of the URL: file with a public key (PEM) or several (JSON Web Key Set), read again when it changes',
    ...path,
  }),
  CONCORDAT_AUTH_ISSUER: variable({
    meaning: 'the issuer (iss) of JWTs; required with keys',
    default: null,
    expected: 'the text that the issuer writes into its tokens',
    parse: (text: string) => text,
  }),
  CONCORDAT_AUTH_AUDIENCE: variable({
    meaning: 'the audience (aud) that JWTs must be made for; required with keys',
    default: null,
    expected: 'the text by which the issuer knows this cluster',
    parse: (text: string) => text,
  }),
  CONCORDAT_AUTH_ALGORITHMS: variable({
    meaning: 'algorithms by which JWTs may be signed',
    default: 'RS256,ES256,EdDSA',
    expected: `some of ${ALGORITHMS.join(', ')}, separated by commas`,
    parse: parseAlgorithms,
  }),
  CONCORDAT_AUTH_ROLE_CLAIM: variable({
    meaning: 'the claim of a JWT with its roles: a list, or a text with spaces; a.b is the member b of the claim a',
    default: 'roles',
    expected: 'the name of a claim',
    parse: (text: string) => text,
  }),
  CONCORDAT_RATE_LIMIT: variable({
    meaning:
      'requests per second that a node takes of one principal, or without authentication of one address; 429 beyond; default: 10,000 with authentication, none without',
    default: null,
    ...wholeNumber(1, 1_000_000),
  }),
  CONCORDAT_RATE_LIMIT_REFUSED: variable({
    meaning: 'refused credentials per minute and address; beyond it, new credentials from there are answered with 429',
    default: '300',
    ...wholeNumber(1, 1_000_000),
  }),
  CONCORDAT_RATE_LIMIT_ANONYMOUS: variable({
    meaning:
      'with authentication: requests without a credential per minute and address, probes (/healthz, /readyz) not counted; 429 beyond',
    default: '600',
    ...wholeNumber(1, 1_000_000),
  }),
  CONCORDAT_INVITATIONS: variable({
    meaning:
      'require: a participant joins a transaction, or aborts one by a branch that it names, only with the invitation of that transaction, which its caller hands on; off: it needs only the id',
    default: 'off',
    ...oneOf(['off', 'require'] as const),
  }),
  CONCORDAT_AUDIT_FILE: variable({
    meaning:
      'file for the audit: a JSON line for each call of an operator and each refused credential; made with mode 0600',
    ...path,
  }),
} as const;

/** Of other parts of the configuration. */
interface CertificateValues {
  readonly CONCORDAT_HTTP_TLS_CA?: string | undefined;
  readonly CONCORDAT_CLUSTER?: string | undefined;
}

type Values = VariableValues<typeof AUTH_VARIABLES> & CertificateValues;
type AuthVariable = keyof typeof AUTH_VARIABLES;

/** What of the settings contradicts itself, and what is wrong with the files. */
export function checkAuth(values: Partial<Values>, environment: Environment, problems: VariableProblem[]): void {
  const { CONCORDAT_AUTH_JWKS_URL: url, CONCORDAT_AUTH_KEY_FILE: keyFile } = values;
  const report = (variable: AuthVariable, expected: string): void =>
    void problems.push({
      variable,
      value: environment[variable]?.trim() ? environment[variable] : undefined,
      expected,
    });
  const kinds = kindsIn(values);
  if (values.CONCORDAT_AUTH === 'none' && kinds.length > 0) {
    report('CONCORDAT_AUTH', `"required", or left out: ${kinds.join(' and ')} asks for credentials`);
  }
  if (values.CONCORDAT_AUTH === 'required' && kinds.length === 0) {
    report(
      'CONCORDAT_AUTH',
      'set together with CONCORDAT_AUTH_TOKEN_FILE, CONCORDAT_AUTH_JWKS_URL, CONCORDAT_AUTH_KEY_FILE or CONCORDAT_HTTP_TLS_CA',
    );
  }
  if (url !== undefined && keyFile !== undefined) {
    report('CONCORDAT_AUTH_KEY_FILE', 'left out: CONCORDAT_AUTH_JWKS_URL says where the keys are');
  }
  const hasKeys = url !== undefined || keyFile !== undefined;
  for (const name of ['CONCORDAT_AUTH_ISSUER', 'CONCORDAT_AUTH_AUDIENCE'] as const) {
    const isSet = values[name] !== undefined;
    if (hasKeys && !isSet) report(name, 'set, too: without it tokens that were made for others would be taken');
    if (!hasKeys && isSet) report(name, 'set together with CONCORDAT_AUTH_JWKS_URL or CONCORDAT_AUTH_KEY_FILE');
  }
  if (values.CONCORDAT_INVITATIONS === 'require' && kinds.length === 0) {
    report('CONCORDAT_INVITATIONS', '"off", or left out: where nobody is asked who it is, everybody may join');
  }
  checkFiles(values, report);
}

function checkFiles(values: Partial<Values>, report: (variable: AuthVariable, expected: string) => void): void {
  const { CONCORDAT_AUTH_TOKEN_FILE: tokenFile, CONCORDAT_AUTH_KEY_FILE: keyFile } = values;
  if (tokenFile !== undefined) {
    const file = readPrivateFile(tokenFile, 'secret');
    const parsed = file.ok ? parseApiTokens(file.text) : file;
    if (!parsed.ok) report('CONCORDAT_AUTH_TOKEN_FILE', parsed.expected);
  }
  if (keyFile !== undefined) {
    const file = readPrivateFile(keyFile, 'trusted');
    const parsed = file.ok ? parseKeyFile(file.text) : file;
    if (!parsed.ok) report('CONCORDAT_AUTH_KEY_FILE', parsed.expected);
  }
}

/** Undefined: everybody may do everything. */
export function authSettings(values: Values): AuthSettings | undefined {
  if (kindsIn(values).length === 0) return undefined;
  return {
    tokenFile: values.CONCORDAT_AUTH_TOKEN_FILE,
    jwt: jwtSettings(values),
    certificatesOf: values.CONCORDAT_HTTP_TLS_CA === undefined ? undefined : values.CONCORDAT_CLUSTER,
    rateLimit: values.CONCORDAT_RATE_LIMIT ?? DEFAULT_RATE_LIMIT,
    refusedLimit: values.CONCORDAT_RATE_LIMIT_REFUSED,
    anonymousLimit: values.CONCORDAT_RATE_LIMIT_ANONYMOUS,
    invitations: values.CONCORDAT_INVITATIONS,
  };
}

function jwtSettings(values: Values): JwtSettings | undefined {
  const { CONCORDAT_AUTH_JWKS_URL: url, CONCORDAT_AUTH_KEY_FILE: file } = values;
  if (url === undefined && file === undefined) return undefined;
  return {
    keys: url === undefined ? { file } : { url },
    issuer: values.CONCORDAT_AUTH_ISSUER,
    audience: values.CONCORDAT_AUTH_AUDIENCE,
    algorithms: values.CONCORDAT_AUTH_ALGORITHMS,
    roleClaim: values.CONCORDAT_AUTH_ROLE_CLAIM,
  };
}

/**
 * The variables that ask for credentials. Certificates alone can be asked for, and mean nothing beyond the connection:
 * with `CONCORDAT_AUTH=none`.
 */
function kindsIn(values: Partial<Values>): string[] {
  const kinds = ['CONCORDAT_AUTH_TOKEN_FILE', 'CONCORDAT_AUTH_JWKS_URL', 'CONCORDAT_AUTH_KEY_FILE'] as const;
  const found: string[] = kinds.filter((name) => values[name] !== undefined);
  const hasCertificates = values.CONCORDAT_HTTP_TLS_CA !== undefined && values.CONCORDAT_AUTH !== 'none';
  return hasCertificates ? [...found, 'CONCORDAT_HTTP_TLS_CA'] : found;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function parseKeysUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, username, password, href } = new URL(text);
  if (username !== '' || password !== '') return undefined;
  const isSafe = protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, '')));
  return isSafe ? href : undefined;
}

function parseAlgorithms(text: string): readonly string[] | undefined {
  const named = text.split(',').map((name) => name.trim());
  return named.every((name) => ALGORITHMS.includes(name)) ? [...new Set(named)] : undefined;
}
