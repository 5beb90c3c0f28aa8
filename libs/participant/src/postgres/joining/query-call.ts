import type { CustomTypesConfig, QueryConfig, QueryResult } from 'pg';
import { ForbiddenStatementError } from '../errors.js';

export type QueryCallback = (error: unknown, result: QueryResult | QueryResult[] | undefined) => void;

/** One call of `query`, in whichever of its forms. */
export interface QueryCall {
  readonly text: string;
  readonly query: QueryConfig;
  readonly callback: QueryCallback | undefined;
}

/** What `pg` reads of a configuration beside text, values and callback; also of one whose fields are inherited. */
const PASSED_ON = ['name', 'rowMode', 'binary', 'queryMode'] as const;

interface QuerySource {
  readonly text: string;
  readonly values?: unknown[];
  readonly callback?: QueryCallback;
  readonly types?: CustomTypesConfig;
}

/**
 * Reads `query(text)`, `query(text, values)`, `query(config)`, `query(config, values)`, each with or without a callback
 * at the end.
 *
 * @throws ForbiddenStatementError for a submittable: a cursor, a stream, a query object
 */
export function readQueryCall(
  first: unknown,
  second: unknown,
  third: unknown,
  poolTypes: CustomTypesConfig | undefined,
): QueryCall {
  const [values, callback] = typeof second === 'function' ? [undefined, second] : [second, third];
  const source = sourceOf(first);
  const query: QueryConfig = { text: source.text };
  for (const key of PASSED_ON) {
    const value: unknown = Reflect.get(source, key);
    if (value !== undefined) Object.assign(query, { [key]: value });
  }
  const allValues = (values as unknown[] | undefined | null) ?? source.values;
  if (allValues !== undefined) query.values = allValues;
  const types = source.types ?? poolTypes;
  if (types !== undefined) query.types = types;
  return { text: source.text, query, callback: (callback as QueryCallback | undefined) ?? source.callback };
}

function sourceOf(first: unknown): QuerySource {
  if (typeof first === 'string') return { text: first };
  if (typeof first !== 'object' || first === null || typeof (first as Partial<QuerySource>).text !== 'string') {
    throw new ForbiddenStatementError('a query needs a text, or a configuration with a text');
  }
  if (typeof (first as { submit?: unknown }).submit === 'function') {
    throw new ForbiddenStatementError(
      'a cursor, stream or query object cannot be used in a global transaction, because it drives a connection of its ' +
        'own: read the rows in pages (WHERE id > … ORDER BY id LIMIT …), or read them outside the transaction',
    );
  }
  return first as QuerySource;
}
