import { UsageError } from '../usage-error.js';

/** Of a key that signs messages; whether they are right is seen when it is made. */
export interface KeyOptions {
  readonly id: string;
  readonly senders: readonly string[];
  /** one secret for all instead of a pair of keys */
  readonly isShared: boolean;
  /** its last day, YYYY-MM-DD; absent: it has no end */
  readonly until?: string;
  /** where the secret part is written */
  readonly path: string;
}

export const KEY_OPTIONS = {
  id: { type: 'string' },
  sender: { type: 'string', multiple: true },
  shared: { type: 'boolean' },
  until: { type: 'string' },
  out: { type: 'string' },
} as const;

interface Values {
  readonly id?: string | undefined;
  readonly sender?: readonly string[] | undefined;
  readonly shared?: boolean | undefined;
  readonly until?: string | undefined;
  readonly out?: string | undefined;
}

const EVERYBODY = ['coordinator', 'participant:*'];

/** @throws UsageError */
export function parseKey({ id, sender, shared = false, until, out }: Values): KeyOptions {
  if (id === undefined) throw new UsageError('"key create" needs --id, the name of the key: --id bank-a-2027');
  const senders = sender ?? (shared ? EVERYBODY : []);
  if (senders.length === 0) {
    throw new UsageError('"key create" needs --sender coordinator or --sender participant:<name>, or --shared.');
  }
  return { id, senders, isShared: shared, path: out ?? `${id}.key.json`, ...(until !== undefined && { until }) };
}
