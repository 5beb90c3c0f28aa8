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

export const KEY_HELP = `concordat key create --id <id> --sender <sender> [options]

Makes a key that signs messages over Kafka, and prints what its owner and the others do with it.

  --id <id>            name of the key, unique in the cluster: bank-a-2027
  --sender <sender>    who speaks with it: coordinator or participant:<name>; may be given again
  --shared             instead of a pair of keys: one secret for all processes (HMAC), simple and fast; then --sender may
                       be left out
  --until <day>        the last day on which it is valid, YYYY-MM-DD in UTC (default: no end)
  --out <path>         file for the secret part, made with mode 0600 (default <id>.key.json)
  --help               print this text
`;

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
