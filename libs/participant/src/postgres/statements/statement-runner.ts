import type { ClientBase, QueryResult, QueryResultRow } from 'pg';
import type { Failpoints } from '@concordat/foundation';
import type { NamedStatement, StatementMoment } from '../../runtime/participant-failpoints.js';

/** Sends the library's own statements, with a failpoint before and after each. */
export class StatementRunner {
  constructor(private readonly failpoints: Failpoints) {}

  /** One round trip. A rejection by the failpoint after the statement is not the server's answer. */
  async run<Row extends QueryResultRow>(
    name: NamedStatement,
    client: ClientBase,
    text: string,
    values?: readonly string[],
  ): Promise<QueryResult<Row>> {
    const held = this.hit(name, 'before-statement');
    if (held) await held;
    const answer = await client.query<Row>(text, values && [...values]);
    const heldAfter = this.hit(name, 'after-statement');
    if (heldAfter) await heldAfter;
    return answer;
  }

  hit(name: NamedStatement, moment: StatementMoment): Promise<void> | undefined {
    return this.failpoints.hit(`participant.${name}.${moment}`);
  }
}
