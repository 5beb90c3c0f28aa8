import { createHash } from 'node:crypto';
import { isUuid } from '@concordat/foundation';
import { RequestRefusedError } from './problems.js';

/** A list with what narrows it down: a cursor is good for that and for nothing else. */
export interface ListIdentity {
  readonly list: 'transactions' | 'in-doubt';
  readonly filters?: Readonly<Record<string, string | undefined>>;
}

const CURSOR = /^([0-9a-f-]{36})\.([0-9a-f]{16})$/;

/**
 * Where the next page of a list begins, as a client gets it: the id that it begins behind, and a check over that id,
 * the list and its filters. Each node reads the cursors of every other. The check keeps clients from going wrong
 * unnoticed; it keeps no secret.
 */
export function formatCursor(identity: ListIdentity, transactionId: string): string {
  return `${transactionId}.${checkOf(identity, transactionId)}`;
}

/** @throws RequestRefusedError `INVALID_PARAMETER` for what is no cursor, or one of another list or other filters */
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
