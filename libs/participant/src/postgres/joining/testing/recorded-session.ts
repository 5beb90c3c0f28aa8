import type { QueryConfig, QueryResult } from 'pg';
import type { BranchClient } from '../../session/guarded-client.js';

/** A session that records what it is sent, answers in a later turn, and fails as PostgreSQL does. */
export class RecordedSession implements BranchClient {
  readonly sent: string[] = [];
  readonly configurations: QueryConfig[] = [];
  isolation = 'read committed';
  private hasFailed = false;

  async query<Row extends object>(query: string | QueryConfig): Promise<QueryResult<Row>> {
    const text = typeof query === 'string' ? query : query.text;
    this.sent.push(text);
    if (typeof query !== 'string') this.configurations.push(query);
    await new Promise((resolve) => setImmediate(resolve));
    if (text.startsWith('ROLLBACK TO')) this.hasFailed = false;
    if (this.hasFailed) throw new Error('current transaction is aborted');
    if (text.includes('FAIL')) {
      this.hasFailed = true;
      throw new Error('the statement failed');
    }
    const rows = text.includes('transaction_isolation') ? [{ level: this.isolation }] : [{ text }];
    return { command: text.split(' ')[0]!, rowCount: 1, oid: 0, fields: [], rows: rows as unknown as Row[] };
  }
}
