import { escapeLiteral, type ClientBase, type QueryResult } from 'pg';
import type { Failpoints } from '@concordat/foundation';
import { type AcceptedValue, type Acceptor, type Ballot, type Decision } from '@concordat/commit-protocol';
import type { BranchIdentity } from '../../runtime/resource-manager.js';
import type { AcceptorRow, AcceptorTrace, CastVote } from './rows.js';
import { ACCEPTOR_COLUMNS, acceptorRowOf } from './acceptor-row.js';
import { ledgerRowOf } from './ledger-row.js';
import { requireTag, resultAt } from './answers.js';
import { StatementRunner } from './statement-runner.js';
import {
  beginLiteral,
  FLUSH_AT_COMMIT,
  selectAbstention,
  selectOwnLedger,
  selectPrepared,
  WAIT_FOR_WHAT_WAS_SEEN,
} from './texts.js';

/**
 * Another session holds a row for two round trips. If it holds the row longer it is stuck, and the message is repeated.
 */
const ROW_LOCK_TIMEOUT_MS = 2_000;
/** A process that stops between the two round trips releases the row after this. */
const IDLE_TIMEOUT_MS = 5_000;

/** The ballots of an acceptor. */
export interface BallotColumns {
  readonly promised: Ballot | undefined;
  readonly accepted: AcceptedValue | undefined;
}

const NO_BALLOTS: BallotColumns = { promised: undefined, accepted: undefined };

/**
 * Every statement about acceptors (`concordat_acceptor`), each of them one round trip. Values are put into the texts,
 * because several statements share a simple query; they are UUIDs, integers and quoted literals only.
 *
 * Each begins a transaction of its own in READ COMMITTED, whatever the database's default is, so that it sees what was
 * decided while it waited for a row. A method that rejects with an error of the server leaves the transaction open.
 */
export class AcceptorStatements {
  private readonly table: string;
  private readonly ledger: string;
  private readonly firstVote: string;
  private readonly firstAccept: string;
  private readonly runner: StatementRunner;

  constructor(
    private readonly cluster: string,
    private readonly schema: string,
    failpoints: Failpoints,
  ) {
    this.table = `"${schema}".concordat_acceptor`;
    this.ledger = `"${schema}".concordat_branch`;
    this.firstVote = `"${schema}".concordat_first_vote`;
    this.firstAccept = `"${schema}".concordat_accept_first`;
    this.runner = new StatementRunner(failpoints);
  }

  /**
   * Commits the vote if there is none, the usual case. False: another vote exists, or existed then. Waits for a
   * concurrent vote at most as long as any statement.
   */
  async insertFirstVote(
    client: ClientBase,
    branch: BranchIdentity,
    acceptors: readonly Acceptor[],
    vote: CastVote,
  ): Promise<boolean> {
    const values = [
      branch.branchId,
      branch.transactionId,
      vote.vote,
      vote.vote === 'no' ? vote.error && JSON.stringify(vote.error) : JSON.stringify(vote.results),
      JSON.stringify(acceptors),
    ];
    const text = `SELECT ${this.firstVote}(${values.map(literal).join(', ')}, ${beginLiteral(branch)}) AS done`;
    return isDone(await this.runner.run('acceptor-vote', client, text));
  }

  /**
   * Accepts the first ballot in the usual case: the branch has voted, in this set, and has no other ballot and no
   * decision. Does what `stepAcceptor` says for that case, in one round trip. False: read again with the row locked.
   */
  async acceptFirst(client: ClientBase, branch: BranchIdentity, acceptors: readonly Acceptor[]): Promise<boolean> {
    const values = [branch.branchId, branch.transactionId, JSON.stringify(acceptors)];
    const text = `SELECT ${this.firstAccept}(${values.map(literal).join(', ')}, ${beginLiteral(branch)}) AS done`;
    return isDone(await this.runner.run('acceptor-ballot', client, text));
  }

  /**
   * Commits the vote unless there is one, and returns the first. `abstains`: the database may have lost an earlier
   * vote, so only an existing one counts.
   */
  async insertVote(
    client: ClientBase,
    branch: BranchIdentity,
    acceptors: readonly Acceptor[],
    vote: CastVote,
  ): Promise<AcceptorRow | 'abstains' | undefined> {
    const results = await this.runner.run(
      'acceptor-vote',
      client,
      `${this.begin()}; ${this.insert(branch, acceptors, vote)}; ${WAIT_FOR_WHAT_WAS_SEEN};
       ${this.selectAbstains(branch)}; SELECT ${ACCEPTOR_COLUMNS} ${this.rowOf(branch)}; COMMIT`,
    );
    requireTag(resultAt(results, -1).command, 'COMMIT');
    return abstainsIn(resultAt(results, -3)) ? 'abstains' : acceptorRowOf(resultAt(results, -2).rows[0], branch);
  }

  /**
   * Begins a transaction and locks the acceptor's row, if any; reads the state of the branch. The gid is read before
   * the ledger, so that a branch committed in between is seen there.
   */
  async lock(client: ClientBase, branch: BranchIdentity): Promise<AcceptorTrace> {
    const results = await this.runner.run(
      'acceptor-lock',
      client,
      `${this.begin()}; SELECT ${ACCEPTOR_COLUMNS} ${this.rowOf(branch)} FOR UPDATE; ${this.selectAbstains(branch)};
       ${selectPrepared(this.cluster, branch)}; ${selectOwnLedger(this.ledger, branch)}`,
    );
    return {
      acceptor: acceptorRowOf(resultAt(results, -4).rows[0], branch),
      abstains: abstainsIn(resultAt(results, -3)),
      prepared: (resultAt(results, -2).rows[0] as { prepared: boolean }).prepared,
      ledger: ledgerRowOf(resultAt(results, -1).rows[0]),
    };
  }

  /** Writes the ballots into the locked row, and commits. */
  async saveBallots(
    client: ClientBase,
    { branchId }: BranchIdentity,
    { promised, accepted }: BallotColumns,
  ): Promise<void> {
    const results = await this.runner.run(
      'acceptor-ballot',
      client,
      `UPDATE ${this.table} SET (promised_round, promised_proposer) = (${ballotLiterals(promised)}),
         (accepted_round, accepted_proposer) = (${ballotLiterals(accepted?.ballot)}),
         accepted_value = ${valueLiteral(accepted)},
         updated_at = now()
       WHERE branch_id = ${escapeLiteral(branchId)} RETURNING 1; COMMIT`,
    );
    requireTag(resultAt(results, -1).command, 'COMMIT');
    if (resultAt(results, -2).rowCount !== 1) throw new Error(`the acceptor row of branch ${branchId} is gone`);
  }

  /** For a branch without a row: commits the vote `no` with its ballots, unless another vote came first. */
  async insertRefusal(
    client: ClientBase,
    branch: BranchIdentity,
    acceptors: readonly Acceptor[],
    { promised, accepted }: BallotColumns,
  ): Promise<boolean> {
    const results = await this.runner.run(
      'acceptor-refusal',
      client,
      `${this.insert(branch, acceptors, { vote: 'no', error: undefined }, { promised, accepted })}; COMMIT`,
    );
    requireTag(resultAt(results, -1).command, 'COMMIT');
    return resultAt(results, -2).rowCount === 1;
  }

  /** Ends the transaction without a change. */
  async release(client: ClientBase): Promise<void> {
    await this.runner.run('acceptor-release', client, 'ROLLBACK');
  }

  /**
   * The same before the answer is sent: resolves when what was read is as durable as if this session had committed it.
   */
  async confirmAndRelease(client: ClientBase): Promise<void> {
    const results = await this.runner.run('acceptor-release', client, `${WAIT_FOR_WHAT_WAS_SEEN}; COMMIT`);
    requireTag(resultAt(results, -1).command, 'COMMIT');
  }

  /**
   * Commits the decision unless there is one; returns the one that stands, undefined where the branch is no acceptor.
   */
  async recordDecision(client: ClientBase, branch: BranchIdentity, decision: Decision): Promise<Decision | undefined> {
    const results = await this.runner.run(
      'acceptor-decision',
      client,
      `${this.begin()};
       UPDATE ${this.table} SET decision = ${escapeLiteral(decision)}, updated_at = now()
         WHERE branch_id = ${escapeLiteral(branch.branchId)}
           AND transaction_id = ${escapeLiteral(branch.transactionId)} AND decision IS NULL;
       SELECT ${ACCEPTOR_COLUMNS} ${this.rowOf(branch)}; COMMIT`,
    );
    requireTag(resultAt(results, -1).command, 'COMMIT');
    return acceptorRowOf(resultAt(results, -2).rows[0], branch)?.decision;
  }

  /**
   * Like `lock`, without a lock or an open transaction. What it reads is as durable as if this session had committed
   * it.
   */
  async look(client: ClientBase, branch: BranchIdentity): Promise<AcceptorTrace> {
    const results = await this.runner.run(
      'acceptor-look-up',
      client,
      `BEGIN ISOLATION LEVEL READ COMMITTED; ${FLUSH_AT_COMMIT};
       ${this.selectAbstains(branch)}; ${selectPrepared(this.cluster, branch)}; ${selectOwnLedger(this.ledger, branch)};
       SELECT ${ACCEPTOR_COLUMNS} ${this.rowOf(branch)}; ${WAIT_FOR_WHAT_WAS_SEEN}; COMMIT`,
    );
    return {
      abstains: abstainsIn(resultAt(results, -6)),
      prepared: (resultAt(results, -5).rows[0] as { prepared: boolean }).prepared,
      ledger: ledgerRowOf(resultAt(results, -4).rows[0]),
      acceptor: acceptorRowOf(resultAt(results, -3).rows[0], branch),
    };
  }

  private begin(): string {
    return `BEGIN ISOLATION LEVEL READ COMMITTED;
      SET LOCAL lock_timeout = ${ROW_LOCK_TIMEOUT_MS};
      SET LOCAL idle_in_transaction_session_timeout = ${IDLE_TIMEOUT_MS};
      ${FLUSH_AT_COMMIT}`;
  }

  private insert(
    { transactionId, branchId }: BranchIdentity,
    acceptors: readonly Acceptor[],
    vote: CastVote,
    { promised, accepted }: BallotColumns = NO_BALLOTS,
  ): string {
    const result = vote.vote === 'no' ? vote.error : vote.results;
    return `INSERT INTO ${this.table} (branch_id, transaction_id, vote, result, acceptors, promised_round,
        promised_proposer, accepted_round, accepted_proposer, accepted_value)
      SELECT ${escapeLiteral(branchId)}::uuid, ${escapeLiteral(transactionId)}::uuid, ${escapeLiteral(vote.vote)},
        ${result === undefined ? 'NULL' : escapeLiteral(JSON.stringify(result))}::json,
        ${escapeLiteral(JSON.stringify(acceptors))}::json, ${ballotLiterals(promised)}, ${ballotLiterals(accepted?.ballot)},
        ${valueLiteral(accepted)}
      WHERE NOT EXISTS (${selectAbstention(this.schema, { transactionId, branchId })})
      ON CONFLICT (branch_id) DO NOTHING`;
  }

  private selectAbstains(branch: BranchIdentity): string {
    return `SELECT EXISTS (${selectAbstention(this.schema, branch)}) AS abstains`;
  }

  private rowOf({ branchId }: BranchIdentity): string {
    return `FROM ${this.table} WHERE branch_id = ${escapeLiteral(branchId)}`;
  }
}

function isDone({ rows }: QueryResult): boolean {
  return (rows[0] as { done: boolean } | undefined)?.done === true;
}

function literal(value: string | undefined): string {
  return value === undefined ? 'NULL' : escapeLiteral(value);
}

function abstainsIn({ rows }: QueryResult): boolean {
  return (rows[0] as { abstains: boolean } | undefined)?.abstains === true;
}

function ballotLiterals(ballot: Ballot | undefined): string {
  return ballot ? `${ballot.round}, ${ballot.proposer}` : 'NULL::int, NULL::int';
}

function valueLiteral(accepted: AcceptedValue | undefined): string {
  return accepted ? escapeLiteral(accepted.value) : 'NULL';
}
