/** Files that no client of a coordinator may take: the log and its snapshots, up to 256 peers, the broker, and some to spare. */
export const RESERVED_FILES = 512;
const DEFAULT_CONNECTIONS = 10_000;
/** With fewer a process cannot be looked at any more. */
const LEAST_CONNECTIONS = 16;

export interface ConnectionNeeds {
  /** as configured; default 10,000 */
  readonly wanted?: number | undefined;
  /** files that no client may take; default `RESERVED_FILES` */
  readonly reservedFiles?: number;
  /** default: two, because a request that is passed on to the leader takes a second one */
  readonly filesPerConnection?: number;
}

export interface ConnectionLimit {
  readonly maximum: number;
  /** to be said at the start: the system allows less than was wanted */
  readonly warning?: string;
}

/**
 * How many HTTP connections a process takes, so that clients can never use up the files that the rest of it needs.
 *
 * @param files that the process may have open; undefined: not known
 */
export function connectionLimit(
  { wanted, reservedFiles = RESERVED_FILES, filesPerConnection = 2 }: ConnectionNeeds,
  files: number | undefined,
): ConnectionLimit {
  const asked = wanted ?? DEFAULT_CONNECTIONS;
  if (files === undefined) return { maximum: asked };
  const possible = Math.max(LEAST_CONNECTIONS, Math.floor((files - reservedFiles) / filesPerConnection));
  if (asked <= possible) return { maximum: asked };
  const needed = reservedFiles + filesPerConnection * asked;
  const warning = `this process may open ${files} files: it takes ${possible} HTTP connections instead of ${asked}; raise the limit (ulimit -n) to ${needed}, or ask for fewer`;
  return { maximum: possible, warning };
}
