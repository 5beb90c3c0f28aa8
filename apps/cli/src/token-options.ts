import { UsageError } from './usage-error.js';

/** Of an API token; whether they are right is seen when it is made. */
export interface TokenOptions {
  readonly name: string;
  readonly roles: readonly string[];
  /** its last day, YYYY-MM-DD; absent: it has no end */
  readonly until?: string;
}

export const TOKEN_OPTIONS = {
  role: { type: 'string', multiple: true },
  name: { type: 'string' },
  until: { type: 'string' },
} as const;

interface Values {
  readonly role?: readonly string[] | undefined;
  readonly name?: string | undefined;
  readonly until?: string | undefined;
}

/** @throws UsageError */
export function parseToken({ role: roles = [], name, until }: Values): TokenOptions {
  const [first] = roles;
  if (first === undefined) throw new UsageError('"token create" needs --role; --help lists the roles.');
  return { roles, name: name ?? first.replace(':', '-'), ...(until !== undefined && { until }) };
}
