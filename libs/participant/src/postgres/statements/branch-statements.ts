import { escapeLiteral, type ClientBase, type QueryResult, type QueryResultRow } from 'pg';
import type { Failpoints, JsonValue } from '@concordat/foundation';
import { formatGid, parseGid, type BranchError } from '@concordat/commit-protocol';
import type { NamedStatement, StatementMoment } from '../../runtime/participant-failpoints.js';
import type { BranchIdentity, PreparedBranch } from '../../runtime/resource-manager.js';
import type { BranchTrace } from '../types.js';
import { ledgerRowOf } from './ledger-row.js';
import { resultAt } from './result.js';

/** Long enough for a committing neighbour, short enough for a late PREPARE that only we could roll back. */
const TOMBSTONE_LOCK_TIMEOUT_MS = 100;
const CONNECTION_CHECK_INTERVAL_MS = 100;
const LISTED_BRANCHES = 10_000;
/** Two-phase commands always flush; a plain commit that others rely on must not be lost in a crash either. */
const FLUSH_AT_COMMIT = `SELECT set_config('synchronous_commit', 'on', true)
  WHERE current_setting('synchronous_commit') = 'off'`;

export interface BeginLimits {
  readonly lockTimeoutMs: number;
  /** for each statement, and for the pauses between them */
  readonly statementTimeoutMs: number;
}

/**
 * Every statement about branches, one for each method and each of them one round trip. Values are put into the
 * texts, because two-phase commands take no parameters and several statements share a simple query; they are
 * UUIDs, integers and quoted literals only.
 */
export class BranchStatements {
  private readonly table: string;
  private readonly openBranch: string;

  /** @param checksConnection whether the server can notice that a client has died while it works for it */
  constructor(
    private readonly cluster: string,
    schema: string,
    private readonly checksConnection: boolean,
    private readonly failpoints: Failpoints,
  ) {
    this.table = `"${schema}".concordat_branch`;
    this.openBranch = `"${schema}".concordat_open_branch`;
  }

  /** To be awaited before `begin`, behind which statements of the handlers follow without waiting for anything. */
  beforeBegin(): Promise<void> | undefined {
    return this.hit('begin', 'before-statement');
  }

  /**
   * Opens the local transaction and takes the branch's lock. Fails with `BRANCH_OCCUPIED` when somebody holds the
   * lock (another attempt, or the prepared transaction itself, which keeps it) or when the ledger knows the branch:
   * then the transaction has failed, and what was sent right behind this does nothing.
   */
  async begin(client: ClientBase, branch: BranchIdentity, limits: BeginLimits): Promise<void> {
    const { lockTimeoutMs, statementTimeoutMs } = limits;
    const checkIntervalMs = this.checksConnection ? CONNECTION_CHECK_INTERVAL_MS : 0;
    await client.query(
      `BEGIN; SELECT ${this.openBranch}(${this.branchLiteral(branch)}, ${lockTimeoutMs}, ${statementTimeoutMs}, ${checkIntervalMs})`,
    );
    const held = this.hit('begin', 'after-statement');
    if (held) await held;
  }

  async hasWritten(client: ClientBase): Promise<boolean> {
    const { rows } = await this.run<{ written: boolean }>(
      'written-check',
      client,
      'SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS written',
    );
    return rows[0]?.written === true;
  }

  /** Writes the ledger row and prepares; only the tag `PREPARE` means that the branch is prepared. */
  async prepare(client: ClientBase, branch: BranchIdentity, results: readonly JsonValue[]): Promise<string> {
    const answers = await this.run(
      'prepare-transaction',
      client,
      `${this.insertCommitted(branch, results)}; PREPARE TRANSACTION ${this.gidLiteral(branch)}`,
    );
    return resultAt(answers, -1).command;
  }

  /** Writes the ledger row and commits; only the tag `COMMIT` means that the work is committed. */
  async commitWithLedger(client: ClientBase, branch: BranchIdentity, results: readonly JsonValue[]): Promise<string> {
    const text = `${FLUSH_AT_COMMIT}; ${this.insertCommitted(branch, results)}; COMMIT`;
    const answers = await this.run('one-phase-commit', client, text);
    return resultAt(answers, -1).command;
  }

  /** Ends a transaction that wrote nothing. */
  async commit(client: ClientBase): Promise<string> {
    return (await this.run('read-only-commit', client, 'COMMIT')).command;
  }

  async rollback(client: ClientBase): Promise<void> {
    await this.run('local-rollback', client, 'ROLLBACK');
  }

  async commitPrepared(client: ClientBase, branch: BranchIdentity): Promise<void> {
    await this.run('commit-prepared', client, `COMMIT PREPARED ${this.gidLiteral(branch)}`);
  }

  async rollbackPrepared(client: ClientBase, branch: BranchIdentity): Promise<void> {
    await this.run('rollback-prepared', client, `ROLLBACK PREPARED ${this.gidLiteral(branch)}`);
  }

  /**
   * Commits the tombstone unless there is a ledger row, and tells what is there then. Waits only for a moment
   * for a transaction that holds the same key (55P03), because that may be a prepared one.
   */
  async insertTombstone(client: ClientBase, branch: BranchIdentity, error?: BranchError): Promise<BranchTrace> {
    const result = error ? escapeLiteral(JSON.stringify(error)) : 'NULL';
    const results = await this.run(
      'tombstone',
      client,
      `BEGIN ISOLATION LEVEL READ COMMITTED;
       SET LOCAL lock_timeout = ${TOMBSTONE_LOCK_TIMEOUT_MS};
       ${FLUSH_AT_COMMIT};
       INSERT INTO ${this.table} (branch_id, transaction_id, outcome, result)
         VALUES (${this.branchLiteral(branch)}, ${escapeLiteral(branch.transactionId)}, 'aborted', ${result})
         ON CONFLICT (branch_id) DO NOTHING;
       SELECT outcome, result FROM ${this.table} WHERE branch_id = ${this.branchLiteral(branch)};
       COMMIT;
       ${this.selectPrepared(branch)}`,
    );
    return {
      ledger: ledgerRowOf(resultAt(results, -3).rows[0]),
      prepared: (resultAt(results, -1).rows[0] as { prepared: boolean }).prepared,
    };
  }

  /** Looks for the gid first: a branch that is committed in between is then seen in the younger look-up. */
  async look(client: ClientBase, branch: BranchIdentity): Promise<BranchTrace> {
    const results = await this.run(
      'ledger-look-up',
      client,
      `${this.selectPrepared(branch)};
       SELECT outcome, result FROM ${this.table} WHERE branch_id = ${this.branchLiteral(branch)}`,
    );
    return {
      prepared: (resultAt(results, 0).rows[0] as { prepared: boolean }).prepared,
      ledger: ledgerRowOf(resultAt(results, 1).rows[0]),
    };
  }

  async listPrepared(client: ClientBase): Promise<PreparedBranch[]> {
    const { rows } = await this.run<{ gid: string; prepared_at: number }>(
      'list-prepared',
      client,
      `SELECT gid, (extract(epoch FROM prepared) * 1000)::float8 AS prepared_at FROM pg_prepared_xacts
       WHERE database = current_database() AND starts_with(gid, $1) ORDER BY prepared LIMIT ${LISTED_BRANCHES}`,
      [`concordat:${this.cluster}:`],
    );
    return rows.flatMap(({ gid, prepared_at }) => {
      const branch = parseGid(this.cluster, gid);
      return branch ? [{ ...branch, gid, preparedAt: prepared_at }] : [];
    });
  }

  async ping(client: ClientBase): Promise<void> {
    await client.query('SELECT 1');
  }

  /** Every statement but `begin` and `ping` goes this way. What it rejects with behind the statement is not its answer. */
  private async run<Row extends QueryResultRow>(
    name: NamedStatement,
    client: ClientBase,
    text: string,
    values?: readonly string[],
  ): Promise<QueryResult<Row>> {
    const held = this.hit(name, 'before-statement');
    if (held) await held;
    const answer = await client.query<Row>(text, values && [...values]);
    const heldBehind = this.hit(name, 'after-statement');
    if (heldBehind) await heldBehind;
    return answer;
  }

  private hit(name: NamedStatement, moment: StatementMoment): Promise<void> | undefined {
    return this.failpoints.hit(`participant.${name}.${moment}`);
  }

  private insertCommitted(branch: BranchIdentity, results: readonly JsonValue[]): string {
    return `INSERT INTO ${this.table} (branch_id, transaction_id, outcome, result) VALUES
      (${this.branchLiteral(branch)}, ${escapeLiteral(branch.transactionId)}, 'committed',
       ${escapeLiteral(JSON.stringify(results))})`;
  }

  private selectPrepared(branch: BranchIdentity): string {
    return `SELECT EXISTS (SELECT FROM pg_prepared_xacts
      WHERE gid = ${this.gidLiteral(branch)} AND database = current_database()) AS prepared`;
  }

  /** `formatGid` asserts the charset and the length, so that quoting is never put to the test. */
  private gidLiteral({ transactionId, branchId }: BranchIdentity): string {
    return escapeLiteral(formatGid(this.cluster, transactionId, branchId));
  }

  private branchLiteral({ branchId }: BranchIdentity): string {
    return escapeLiteral(branchId);
  }
}
