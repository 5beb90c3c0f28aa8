import { createHash } from 'node:crypto';
import { isUuid } from '@concordat/foundation';
import { RequestRefusedError } from './problems.js';

/** A list and its filters. A cursor is valid for these only. */
export interface ListIdentity {
  readonly list: 'transactions' | 'in-doubt' | 'locks';
  readonly filters?: Readonly<Record<string, string | undefined>>;
}

const CURSOR = /^([0-9a-f-]{1,36})\.([0-9a-f]{16})$/;
/** What a cursor of a list stands behind. */
const IS_POSITION: Readonly<Record<ListIdentity['list'], (text: string) => boolean>> = {
  transactions: isUuid,
  'in-doubt': isUuid,
  locks: (text) => /^[1-9]\d{0,15}$/.test(text),
};

/**
 * A client's cursor: the id of a transaction, or the fencing token of a lock, after which the next page begins, and a
 * checksum of that, the list and its filters.
 * Every node reads the cursors of every other. The checksum detects mistakes; it is no protection against forgery.
 */
export function formatCursor(identity: ListIdentity, position: string): string {
  return `${position}.${checkOf(identity, position)}`;
}

/**
 * @throws RequestRefusedError `INVALID_PARAMETER` for text that is no cursor, or a cursor of another list or other
 *   filters
 */
export function parseCursor(identity: ListIdentity, cursor: string): string {
  const [, position, check] = CURSOR.exec(cursor) ?? [];
  if (position !== undefined && IS_POSITION[identity.list](position) && check === checkOf(identity, position)) {
    return position;
  }
  const message = 'must be the nextCursor of an answer of this list with the same filters';
  throw new RequestRefusedError('INVALID_PARAMETER', `cursor ${message}`, [{ path: 'cursor', message }]);
}

function checkOf({ list, filters = {} }: ListIdentity, position: string): string {
  const given = Object.entries(filters).filter(([, value]) => value !== undefined);
  const text = JSON.stringify([list, position, ...given.sort(([left], [right]) => (left < right ? -1 : 1))]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
