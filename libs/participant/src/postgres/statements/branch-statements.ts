import { escapeLiteral, type ClientBase } from 'pg';
import type { Failpoints, JsonValue } from '@concordat/foundation';
import { parseGid, type BranchError } from '@concordat/commit-protocol';
import type { BranchIdentity, PreparedBranch } from '../../runtime/resource-manager.js';
import type { BranchTrace } from './rows.js';
import { ledgerRowOf } from './ledger-row.js';
import { resultAt } from './answers.js';
import { StatementRunner } from './statement-runner.js';
import type { NamedStatement } from '../../runtime/participant-failpoints.js';
import { FLUSH_AT_COMMIT, gidLiteral, selectLedger, selectPrepared, WAIT_FOR_WHAT_WAS_SEEN } from './texts.js';

/** Long enough for a concurrent commit, short enough for a late PREPARE that only we could roll back. */
const TOMBSTONE_LOCK_TIMEOUT_MS = 100;
const CONNECTION_CHECK_INTERVAL_MS = 100;
const LISTED_BRANCHES = 10_000;
/** the last part of a gid must match before it is used as a key */
const BRANCH_ID = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';

const NOTE_DECISION = `UPDATE SET decided = true
  WHERE present.outcome = 'aborted' AND NOT present.decided AND present.transaction_id = excluded.transaction_id`;

/** The content of a tombstone. */
export interface Tombstone {
  /** the reason, if known */
  readonly error?: BranchError | undefined;
  /** written because of the decision */
  readonly isDecided?: boolean;
}

export interface BeginLimits {
  readonly lockTimeoutMs: number;
  /** for each statement, and for the pauses between them */
  readonly statementTimeoutMs: number;
}

/** How the server ended the transaction of a branch, and what is left in the session. */
export interface ClosedSession {
  readonly tag: string;
  /** what no reset removes, as a word for the log; the session must be closed */
  readonly leftBehind: string | undefined;
}

/** What the routines that end a branch say of its session. */
interface ResetRow {
  readonly left_behind: string | null;
  /** of the protocol; -1 when some were made by PREPARE; missing after plain statements, which make none */
  readonly named_statements: number;
}

/** Private members of `pg`. */
interface ClientInternals {
  readonly user?: string;
  readonly connection?: { readonly parsedStatements?: object };
}

/** Handlers that generate statement names would fill the memory of both ends. */
const MAXIMUM_NAMED_STATEMENTS = 1_000;

/**
 * Every statement about branches, one for each method and each of them one round trip. Values are put into the texts,
 * because two-phase commands take no parameters and several statements share a simple query; they are UUIDs, integers
 * and quoted literals only.
 */
export class BranchStatements {
  private readonly table: string;
  private readonly acceptors: string;
  private readonly runner: StatementRunner;

  /** Whether the server can detect the death of a client while it works for it; asked once, at the start. */
  checksConnection = false;

  constructor(
    private readonly cluster: string,
    private readonly schema: string,
    failpoints: Failpoints,
  ) {
    this.table = `"${schema}".concordat_branch`;
    this.acceptors = `"${schema}".concordat_acceptor`;
    this.runner = new StatementRunner(failpoints);
  }

  /** Must be awaited before `begin`: the handlers' statements follow that without waiting. */
  beforeBegin(): Promise<void> | undefined {
    return this.runner.hit('begin', 'before-statement');
  }

  /**
   * Opens the local transaction and takes the branch's lock. Fails with `BRANCH_OCCUPIED` when the lock is held (by
   * another attempt, or by the prepared transaction itself) or the ledger has the branch: then the transaction has
   * failed, and statements sent right after it do nothing.
   */
  async begin(client: ClientBase, branch: BranchIdentity, limits: BeginLimits): Promise<void> {
    const { lockTimeoutMs, statementTimeoutMs } = limits;
    const checkIntervalMs = this.checksConnection ? CONNECTION_CHECK_INTERVAL_MS : 0;
    await client.query(
      `BEGIN; CALL ${this.routine('begin_branch')}(${this.branchLiteral(branch)}, '${lockTimeoutMs}', '${statementTimeoutMs}', '${checkIntervalMs}')`,
    );
    const held = this.runner.hit('begin', 'after-statement');
    if (held) await held;
  }

  async hasWritten(client: ClientBase): Promise<boolean> {
    const { rows } = await this.runner.run<{ written: boolean }>(
      'written-check',
      client,
      'SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS written',
    );
    return rows[0]?.written === true;
  }

  /**
   * Writes the ledger row and prepares; only the tag `PREPARE` means that the branch is prepared. PREPARE fails if
   * anything else could outlive the branch in its session.
   *
   * @param wasPlain whether the handlers sent only plain statements; the same for the other ends
   */
  async prepare(
    client: ClientBase,
    branch: BranchIdentity,
    results: readonly JsonValue[],
    wasPlain: boolean,
  ): Promise<ClosedSession> {
    const closing = this.closeBranch(client, branch, results, wasPlain);
    const text = `${closing}; PREPARE TRANSACTION ${gidLiteral(this.cluster, branch)}`;
    const answers = await this.runner.run('prepare-transaction', client, text);
    const closed = resultAt(answers, 0).rows[0] as Partial<ResetRow> | undefined;
    return { tag: resultAt(answers, -1).command, leftBehind: leftBehindOf(client, closed ?? {}, wasPlain) };
  }

  /** Writes the ledger row and commits; only the tag `COMMIT` means that the work is committed. */
  async commitWithLedger(
    client: ClientBase,
    branch: BranchIdentity,
    results: readonly JsonValue[],
    wasPlain: boolean,
  ): Promise<ClosedSession> {
    const text = `${this.closeBranch(client, branch, results, wasPlain)}; COMMIT`;
    return this.endAndReset('one-phase-commit', client, text, wasPlain);
  }

  /** Ends a transaction that wrote nothing. */
  async commit(client: ClientBase, wasPlain: boolean): Promise<ClosedSession> {
    return this.endAndReset('read-only-commit', client, 'COMMIT', wasPlain);
  }

  /** Ends the transaction of a refused branch. */
  async rollback(client: ClientBase, wasPlain: boolean): Promise<ClosedSession> {
    return this.endAndReset('local-rollback', client, 'ROLLBACK', wasPlain);
  }

  async commitPrepared(client: ClientBase, branch: BranchIdentity): Promise<void> {
    await this.runner.run('commit-prepared', client, `COMMIT PREPARED ${gidLiteral(this.cluster, branch)}`);
  }

  async rollbackPrepared(client: ClientBase, branch: BranchIdentity): Promise<void> {
    await this.runner.run('rollback-prepared', client, `ROLLBACK PREPARED ${gidLiteral(this.cluster, branch)}`);
  }

  /**
   * Commits the tombstone unless there is a ledger row, and returns what stands then. An existing tombstone records the
   * decision. Waits only briefly for a transaction with the same key (55P03), because that may be a prepared one.
   */
  async insertTombstone(
    client: ClientBase,
    branch: BranchIdentity,
    { error, isDecided = false }: Tombstone,
  ): Promise<BranchTrace> {
    const result = error ? escapeLiteral(JSON.stringify(error)) : 'NULL';
    const results = await this.runner.run(
      'tombstone',
      client,
      `BEGIN ISOLATION LEVEL READ COMMITTED;
       SET LOCAL lock_timeout = ${TOMBSTONE_LOCK_TIMEOUT_MS};
       ${FLUSH_AT_COMMIT};
       INSERT INTO ${this.table} AS present (branch_id, transaction_id, outcome, result, decided)
         VALUES (${this.branchLiteral(branch)}, ${escapeLiteral(branch.transactionId)}, 'aborted', ${result}, ${isDecided})
         ON CONFLICT (branch_id) DO ${isDecided ? NOTE_DECISION : 'NOTHING'};
       ${selectLedger(this.table, branch)};
       ${WAIT_FOR_WHAT_WAS_SEEN};
       COMMIT;
       ${selectPrepared(this.cluster, branch)}`,
    );
    return {
      ledger: ledgerRowOf(resultAt(results, -4).rows[0]),
      prepared: (resultAt(results, -1).rows[0] as { prepared: boolean }).prepared,
    };
  }

  /** Reads the gid first: the later ledger look-up sees a branch that is committed in between. */
  async look(client: ClientBase, branch: BranchIdentity): Promise<BranchTrace> {
    const results = await this.runner.run(
      'ledger-look-up',
      client,
      `${selectPrepared(this.cluster, branch)};
       ${selectLedger(this.table, branch)}`,
    );
    return {
      prepared: (resultAt(results, 0).rows[0] as { prepared: boolean }).prepared,
      ledger: ledgerRowOf(resultAt(results, 1).rows[0]),
    };
  }

  /** After a look that found something: resolves when that is as durable as if this session had committed it. */
  async confirm(client: ClientBase): Promise<void> {
    await this.runner.run('ledger-look-up', client, `BEGIN; ${FLUSH_AT_COMMIT}; ${WAIT_FOR_WHAT_WAS_SEEN}; COMMIT`);
  }

  /** A branch that voted read-only may not open ballots, whatever is prepared under its name. */
  async listPrepared(client: ClientBase): Promise<PreparedBranch[]> {
    const { rows } = await this.runner.run<{ gid: string; age_ms: number; is_acceptor: boolean }>(
      'list-prepared',
      client,
      `SELECT gid, (extract(epoch FROM clock_timestamp() - prepared) * 1000)::float8 AS age_ms,
              coalesce(acceptor.vote <> 'read-only', false) AS is_acceptor
       FROM pg_prepared_xacts LEFT JOIN ${this.acceptors} AS acceptor ON acceptor.branch_id =
         CASE WHEN split_part(gid, ':', 4) ~ '${BRANCH_ID}' THEN split_part(gid, ':', 4)::uuid END
       WHERE database = current_database() AND starts_with(gid, $1) ORDER BY prepared LIMIT ${LISTED_BRANCHES}`,
      [`concordat:${this.cluster}:`],
    );
    return rows.flatMap(({ gid, age_ms, is_acceptor }) => {
      const named = parseGid(gid);
      if (named?.cluster !== this.cluster) return [];
      const { transactionId, branchId } = named;
      return [{ transactionId, branchId, gid, ageMs: age_ms, isAcceptor: is_acceptor }];
    });
  }

  /**
   * Ends the session that works for the branch: only that one holds the branch's lock in a session. A prepared
   * transaction keeps the lock without one.
   */
  async endSessionOf(client: ClientBase, branch: BranchIdentity): Promise<void> {
    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks
       WHERE locktype = 'advisory' AND granted AND pid IS NOT NULL AND objsubid = 1
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND (classid::int8 << 32 | objid::int8) = hashtextextended(${this.branchLiteral(branch)}, 0)`,
    );
  }

  /**
   * Cancels the statement of a server process if it waits for a row or an advisory lock of a prepared branch of the same
   * transaction; whether it did. Such a branch has no process, so `pg_blocking_pids` shows it as 0 only.
   */
  async endSelfBlock(client: ClientBase, { transactionId }: BranchIdentity, processId: number): Promise<boolean> {
    const { rows } = await client.query<{ cancelled: boolean }>(
      `SELECT pg_cancel_backend(waiter.pid) AS cancelled
       FROM pg_locks AS waiter, pg_prepared_xacts AS prepared
       WHERE waiter.pid = $1 AND NOT waiter.granted
         AND prepared.database = current_database() AND starts_with(prepared.gid, $2)
         AND (waiter.transactionid = prepared.transaction
           OR (waiter.locktype = 'advisory' AND EXISTS (
             SELECT FROM pg_locks AS holder JOIN pg_locks AS own USING (virtualtransaction)
             WHERE own.pid IS NULL AND own.transactionid = prepared.transaction AND holder.granted AND holder.pid IS NULL AND holder.locktype = 'advisory'
               AND holder.mode = 'ExclusiveLock'
               AND (holder.database, holder.classid, holder.objid, holder.objsubid)
                 = (waiter.database, waiter.classid, waiter.objid, waiter.objsubid))))
       LIMIT 1`,
      [processId, `concordat:${this.cluster}:${transactionId}:`],
    );
    return rows[0]?.cancelled === true;
  }

  async ping(client: ClientBase): Promise<void> {
    await client.query('SELECT 1');
  }

  /** Ends the transaction and, in the same round trip but a transaction of its own, resets the session. */
  private async endAndReset(
    name: NamedStatement,
    client: ClientBase,
    text: string,
    wasPlain: boolean,
  ): Promise<ClosedSession> {
    const reset = wasPlain
      ? `SELECT ${this.routine('reset_plain_session')}() AS left_behind`
      : `SELECT * FROM ${this.routine('reset_session')}()`;
    const answers = await this.runner.run(name, client, `${text}; ${reset}`);
    const row = resultAt(answers, -1).rows[0] as Partial<ResetRow> | undefined;
    return { tag: resultAt(answers, -2).command, leftBehind: leftBehindOf(client, row ?? {}, wasPlain) };
  }

  /** Also ensures that the end of the transaction is flushed, as `FLUSH_AT_COMMIT` does. */
  private closeBranch(
    client: ClientBase,
    branch: BranchIdentity,
    results: readonly JsonValue[],
    wasPlain: boolean,
  ): string {
    const values = [branch.branchId, branch.transactionId, JSON.stringify(results), internalsOf(client).user ?? ''];
    const list = values.map(escapeLiteral).join(', ');
    if (wasPlain) return `CALL ${this.routine('close_plain_branch')}(${list})`;
    return `SELECT ${this.routine('close_branch')}(${list}) AS named_statements`;
  }

  /** A function or procedure of the migrations. */
  private routine(name: string): string {
    return `"${this.schema}".concordat_${name}`;
  }

  private branchLiteral({ branchId }: BranchIdentity): string {
    return escapeLiteral(branchId);
  }
}

function leftBehindOf(client: ClientBase, reset: Partial<ResetRow>, wasPlain: boolean): string | undefined {
  const believed = Object.keys(internalsOf(client).connection?.parsedStatements ?? {}).length;
  const { left_behind, named_statements = wasPlain ? believed : undefined } = reset;
  if (named_statements === undefined) return 'unknown statements';
  if (left_behind) return left_behind;
  if (named_statements < 0) return 'statements made by PREPARE';
  if (named_statements > MAXIMUM_NAMED_STATEMENTS) return `more than ${MAXIMUM_NAMED_STATEMENTS} named statements`;
  // if the client knows a statement that the session does not have, the next branch would fail
  return named_statements === believed ? undefined : 'other named statements than it was given';
}

function internalsOf(client: ClientBase): ClientInternals {
  return client as unknown as ClientInternals;
}
