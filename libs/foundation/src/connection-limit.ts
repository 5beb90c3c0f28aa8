/** Files reserved for the log and its snapshots, up to 256 peers, the broker, and a reserve. */
export const RESERVED_FILES = 512;
const DEFAULT_CONNECTIONS = 10_000;
/** With fewer, operators could not inspect the process. */
const LEAST_CONNECTIONS = 16;

/** Direct streams of participants: at most so many, and at most this share of the files of the process. */
const STREAMS = { maximum: 1_024, minimum: 32, share: 1 / 8 };

/** How many direct streams a process takes. @param files that the process may have open; undefined: not known */
export function streamLimit(files: number | undefined): number {
  if (files === undefined) return STREAMS.maximum;
  return Math.min(STREAMS.maximum, Math.max(STREAMS.minimum, Math.floor(files * STREAMS.share)));
}

export interface ConnectionNeeds {
  /** as configured; default 10,000 */
  readonly wanted?: number | undefined;
  /** files reserved from clients; default `RESERVED_FILES` */
  readonly reservedFiles?: number;
  /** default: two, because a request that is forwarded to the leader takes a second one */
  readonly filesPerConnection?: number;
}

export interface ConnectionLimit {
  readonly maximum: number;
  /** for the log at the start: the system allows fewer connections than wanted */
  readonly warning?: string;
}

/**
 * The maximum number of HTTP connections of a process, so that clients never use up the files of its other parts.
 *
 * @param files that the process may have open; undefined: unknown
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
