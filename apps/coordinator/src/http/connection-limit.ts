/** Files that no client may take: the log and its snapshots, up to 256 peers, the broker, and some to spare. */
export const RESERVED_FILES = 512;
/** A request that is passed on to the leader takes a second one. */
const FILES_PER_CONNECTION = 2;
const DEFAULT_CONNECTIONS = 10_000;
/** With fewer a node cannot be looked at any more. */
const LEAST_CONNECTIONS = 16;

export interface ConnectionLimit {
  readonly maximum: number;
  /** to be said at the start: the system allows less than was wanted */
  readonly warning?: string;
}

/**
 * How many REST connections a node takes, so that clients can never use up the files that its log and its peers need.
 *
 * @param wanted as configured; undefined: the default
 * @param files that the process may have open; undefined: not known
 */
export function connectionLimit(wanted: number | undefined, files: number | undefined): ConnectionLimit {
  const asked = wanted ?? DEFAULT_CONNECTIONS;
  if (files === undefined) return { maximum: asked };
  const possible = Math.max(LEAST_CONNECTIONS, Math.floor((files - RESERVED_FILES) / FILES_PER_CONNECTION));
  if (asked <= possible) return { maximum: asked };
  const needed = RESERVED_FILES + FILES_PER_CONNECTION * asked;
  const warning = `this process may open ${files} files: it takes ${possible} REST connections instead of ${asked}; raise the limit (ulimit -n) to ${needed}, or set CONCORDAT_MAX_CONNECTIONS`;
  return { maximum: possible, warning };
}
