import { createHash, randomBytes } from 'node:crypto';
import { formatGrants, parseGrants, ROLE_TEXTS, type Grants } from './roles.js';

/** Tells a token of Concordat from a JWT, and lets scanners find one that was published by mistake. */
const PREFIX = 'cct_';
const SECRET_BYTES = 32;
const LINE = /^sha256:([0-9a-f]{64})\s+(\S+)\s+(\S+)(?:\s+until=(\S+))?$/;
const NAME = /^[A-Za-z0-9._@-]{1,100}$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const LINE_FORM = 'sha256:<hash> <name> <role,role> [until=YYYY-MM-DD]';
/** Faults of a file that are named; one is enough to find the mistake. */
const MAXIMUM_FAULTS = 5;

/** A token as the file knows it. */
export interface ApiToken extends Grants {
  readonly name: string;
  /** the end of its last day in UTC, in milliseconds since 1970; undefined: it has none */
  readonly expiresAt?: number;
}

export interface NewApiToken {
  /** shown once */
  readonly token: string;
  /** for the file of tokens */
  readonly line: string;
}

export interface ApiTokenRequest {
  readonly name: string;
  readonly roles: readonly string[];
  /** YYYY-MM-DD: the last day on which it is valid */
  readonly until?: string;
}

export function isApiToken(bearer: string): boolean {
  return bearer.startsWith(PREFIX);
}

/** The secret has 256 random bits, so a plain hash of it cannot be searched. */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Why a token cannot be made, as a sentence; undefined when it can. */
export function faultOfRequest({ name, roles, until }: ApiTokenRequest): string | undefined {
  if (!NAME.test(name)) return `the name is "${name}"; it must have 1 to 100 letters, digits and . _ @ -`;
  const { unknown } = parseGrants(roles);
  if (roles.length === 0) return `a token needs a role; there are: ${ROLE_TEXTS}`;
  if (unknown.length > 0) return `there is no role "${unknown[0]}"; there are: ${ROLE_TEXTS}`;
  if (until !== undefined && endOfDay(until) === undefined) return `until is "${until}"; it must be a day: 2027-01-31`;
  return undefined;
}

/** A random token, and the line by which coordinators know it. The request must be without fault. */
export function createApiToken({ name, roles, until }: ApiTokenRequest): NewApiToken {
  const token = `${PREFIX}${randomBytes(SECRET_BYTES).toString('base64url')}`;
  const grants = formatGrants(parseGrants(roles).grants).join(',');
  const end = until === undefined ? '' : ` until=${until}`;
  return { token, line: `sha256:${hashOf(token)} ${name} ${grants}${end}` };
}

export type ApiTokenFile =
  | { readonly ok: true; readonly tokens: ReadonlyMap<string, ApiToken> }
  /** `expected` ends the sentence "it must be …"; hashes are not in it */
  | { readonly ok: false; readonly expected: string };

/** The tokens of a file, by hash. Empty lines and those that begin with # are comments. */
export function parseApiTokens(text: string): ApiTokenFile {
  const tokens = new Map<string, ApiToken>();
  const faults: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const parsed = parseLine(line);
    if (typeof parsed === 'string') faults.push(`line ${index + 1} ${parsed}`);
    else if (tokens.has(parsed.hash)) faults.push(`line ${index + 1} has the hash of an earlier line`);
    else tokens.set(parsed.hash, parsed.token);
  }
  if (faults.length === 0) return { ok: true, tokens };
  const named = faults.slice(0, MAXIMUM_FAULTS).join('; ');
  return { ok: false, expected: `a file with lines "${LINE_FORM}", as "concordat token create" prints them: ${named}` };
}

function parseLine(line: string): { readonly hash: string; readonly token: ApiToken } | string {
  const [, hash, name, roles, until] = LINE.exec(line) ?? [];
  if (hash === undefined || name === undefined || roles === undefined) {
    return line.startsWith(PREFIX) ? 'is a token itself, where its hash belongs' : 'has another form';
  }
  const fault = faultOfRequest({ name, roles: roles.split(','), ...(until !== undefined && { until }) });
  if (fault !== undefined) return `is wrong: ${fault}`;
  const expiresAt = until === undefined ? undefined : endOfDay(until);
  const { grants } = parseGrants(roles.split(','));
  return { hash, token: { name, ...grants, ...(expiresAt !== undefined && { expiresAt }) } };
}

function endOfDay(day: string): number | undefined {
  const start = DAY.test(day) ? Date.parse(`${day}T00:00:00.000Z`) : NaN;
  // Date.parse takes 2027-02-31 for a day in March
  const isDay = Number.isFinite(start) && new Date(start).toISOString().startsWith(day);
  return isDay ? start + 86_400_000 : undefined;
}
