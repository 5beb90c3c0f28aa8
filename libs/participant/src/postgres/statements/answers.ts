import type { QueryResult } from 'pg';
import { invariant } from '@concordat/foundation';

/** The result of one statement of a simple query; for several statements `pg` answers with a list. */
export function resultAt(results: QueryResult | readonly QueryResult[], index: number): QueryResult {
  const list = Array.isArray(results) ? (results as readonly QueryResult[]) : [results as QueryResult];
  const result = list.at(index);
  invariant(result, 'each statement of a simple query has a result');
  return result;
}

/** The server rolled a failed transaction back instead of executing the command. */
export class WrongCommandTagError extends Error {
  override readonly name = 'WrongCommandTagError';
}

/** @throws WrongCommandTagError unless the server executed the command */
export function requireTag(tag: string, required: string): void {
  if (tag !== required) throw new WrongCommandTagError(`the server answered ${tag} instead of ${required}`);
}
