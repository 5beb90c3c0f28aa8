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

export const TOKEN_HELP = `concordat token create --role <role> [--role <role> …] [options]

Makes an API token for the REST interface of the coordinators, and prints the line for the file of each coordinator.

  --role <role>        what its bearer may do: client, observer, operator, metrics, node or participant:<name>
  --name <name>        who its bearer is, in the audit and as owner of transactions (default: the first role)
  --until <day>        the last day on which it is valid, YYYY-MM-DD in UTC (default: no end)
  --help               print this text
`;

interface Values {
  readonly role?: readonly string[] | undefined;
  readonly name?: string | undefined;
  readonly until?: string | undefined;
}

/** @throws UsageError */
export function parseToken({ role: roles = [], name, until }: Values): TokenOptions {
  const [first] = roles;
  if (first === undefined)
    throw new UsageError('"token create" needs --role; concordat token create --help lists the roles.');
  return { roles, name: name ?? first.replace(':', '-'), ...(until !== undefined && { until }) };
}
