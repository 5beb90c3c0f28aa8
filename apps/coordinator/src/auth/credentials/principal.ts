import { isExactText } from '@concordat/foundation';
import type { Grants } from './roles.js';

/** Who sends a request, as its credential says. */
export interface Principal extends Grants {
  /**
   * the kind of the credential and the name in it: `jwt:alice`, `token:orders`, `certificate:orders`. It owns transactions and idempotency
   * keys, and stands in rulings and in the audit
   */
  readonly id: string;
  /** when the credential ends, in milliseconds since 1970; undefined: it does not by itself */
  readonly expiresAt?: number;
  /** whether the credential counts still, where that can change; for who reads a stream for long. Default: it does */
  readonly counts?: () => boolean;
  /** its certificate as a header, for the leader; undefined: its credential is in the request */
  readonly certificate?: string;
}

const MAXIMUM_NAME_LENGTH = 200;

/** One line of text: it goes into the log, into records and into headers of the audit. */
export function isPrincipalName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.length <= MAXIMUM_NAME_LENGTH &&
    name.trim() === name &&
    name !== '' &&
    isExactText(name) &&
    !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name)
  );
}
