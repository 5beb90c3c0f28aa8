import { createHash } from 'node:crypto';
import { isUuid } from '@concordat/foundation';
import { RequestRefusedError } from './problems.js';

/** A list and its filters. A cursor is valid for these only. */
export interface ListIdentity {
  readonly list: 'transactions' | 'in-doubt';
  readonly filters?: Readonly<Record<string, string | undefined>>;
}

const CURSOR = /^([0-9a-f-]{36})\.([0-9a-f]{16})$/;

/**
 * A client's cursor: the id after which the next page begins, and a checksum of that id, the list and its filters.
 * Every node reads the cursors of every other. The checksum detects mistakes; it is no protection against forgery.
 */
export function formatCursor(identity: ListIdentity, transactionId: string): string {
  return `${transactionId}.${checkOf(identity, transactionId)}`;
}

/**
 * @throws RequestRefusedError `INVALID_PARAMETER` for text that is no cursor, or a cursor of another list or other
 *   filters
 */
export function parseCursor(identity: ListIdentity, cursor: string): string {
  const [, transactionId, check] = CURSOR.exec(cursor) ?? [];
  if (transactionId !== undefined && isUuid(transactionId) && check === checkOf(identity, transactionId)) {
    return transactionId;
  }
  const message = 'must be the nextCursor of an answer of this list with the same filters';
  throw new RequestRefusedError('INVALID_PARAMETER', `cursor ${message}`, [{ path: 'cursor', message }]);
}

function checkOf({ list, filters = {} }: ListIdentity, transactionId: string): string {
  const given = Object.entries(filters).filter(([, value]) => value !== undefined);
  const text = JSON.stringify([list, transactionId, ...given.sort(([left], [right]) => (left < right ? -1 : 1))]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
