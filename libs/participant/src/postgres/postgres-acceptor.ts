import type { PoolClient } from 'pg';
import { unreachable } from '@concordat/foundation';
import {
  compareBallots,
  FIRST_BALLOT,
  isSameAcceptorSet,
  type Acceptor,
  type BallotAnswer,
  type BallotRequest,
  type Decision,
  type OpenedBallot,
} from '@concordat/commit-protocol';
import { BranchAbstainsError, ResourceManagerUnavailableError } from '../runtime/errors.js';
import type { BranchIdentity } from '../runtime/resource-manager.js';
import { judgeOpening, judgeRequest, type Judgement } from './acceptor-judgement.js';
import type { BranchDatabase } from './branch-database.js';
import { isAcceptorList } from './statements/acceptor-row.js';
import type { AcceptorStatements } from './statements/acceptor-statements.js';
import type { AcceptorRow, CastVote } from './statements/rows.js';

/** After one failed attempt the row exists, because votes are never removed; the third is a reserve. */
const MAXIMUM_ATTEMPTS = 3;

interface Outcome<Answer> {
  readonly answer: Answer;
  /** its tombstone must be written before the answer is sent */
  readonly isRefusal: boolean;
}

export interface PostgresAcceptorPorts {
  readonly database: BranchDatabase;
  readonly statements: AcceptorStatements;
}

/**
 * The branches of one participant as acceptors (protocol section 6), each a row of `concordat_acceptor`. Inserting the
 * row is the vote.
 *
 * Whatever a method resolves with is durable. It rejects with `ResourceManagerUnavailableError` when the state is
 * unknown, and may be called again then. It does not use the work connections, so votes and ballots never wait behind
 * prepares that wait for locks.
 */
export class PostgresAcceptor {
  constructor(private readonly ports: PostgresAcceptorPorts) {}

  /**
   * Records a vote unless there is one; returns the row with the first vote. A rejection leaves the branch prepared: it
   * may have voted. @throws BranchAbstainsError
   */
  async recordVote(branch: BranchIdentity, acceptors: readonly Acceptor[], vote: CastVote): Promise<AcceptorRow> {
    const { database, statements } = this.ports;
    const row = await database.transact('decision', async (client) =>
      (await statements.insertFirstVote(client, branch, acceptors, vote))
        ? firstRow(acceptors, vote)
        : statements.insertVote(client, branch, acceptors, vote),
    );
    if (!row) throw unavailable(branch, 'lost its acceptor row');
    if (row === 'abstains') throw new BranchAbstainsError(branch.branchId);
    if (row.vote !== 'no' && !isSameAcceptorSet(row.acceptors, acceptors))
      throw unavailable(branch, 'has voted in another set of branches');
    return row;
  }

  /** See `ResourceManager.answerBallot`. */
  async answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'> {
    const { database, statements } = this.ports;
    if (isFirstAccept(request) && isAcceptorList(acceptors, branch.branchId)) {
      const accepted = await database.transact('decision', (client) =>
        statements.acceptFirst(client, branch, acceptors),
      );
      if (accepted) return { type: 'accepted', ballot: request.ballot };
    }
    for (let attempt = 0; attempt < MAXIMUM_ATTEMPTS; attempt++) {
      const outcome = await database.transact('decision', async (client) => {
        const trace = await statements.lock(client, branch);
        const judgement = judgeRequest(branch, trace, request, acceptors);
        if (judgement.type !== 'save-and-say' || trace.acceptor) return this.carryOut(client, branch, judgement);
        const isFirstVote = await statements.insertRefusal(client, branch, acceptors, judgement.state);
        return isFirstVote ? judgement : undefined; // another process has voted
      });
      if (outcome) return this.afterRefusal(branch, outcome);
    }
    throw unavailable(branch, 'has an acceptor row that comes and goes');
  }

  /** See `ResourceManager.openBallot`. */
  async openBallot(branch: BranchIdentity): Promise<OpenedBallot> {
    const { database, statements } = this.ports;
    const opened = await database.transact('decision', async (client) => {
      const judgement = judgeOpening(branch, await statements.lock(client, branch));
      return this.carryOut(client, branch, judgement);
    });
    return this.afterRefusal(branch, opened);
  }

  /** See `ResourceManager.recordDecision`. */
  async recordDecision(branch: BranchIdentity, decision: Decision): Promise<void> {
    const { database, statements } = this.ports;
    const recorded = await database.transact('decision', (client) =>
      statements.recordDecision(client, branch, decision),
    );
    if (recorded !== undefined && recorded !== decision)
      throw unavailable(branch, `has the decision ${recorded} on record already, not ${decision}`);
  }

  private async afterRefusal<Answer>(branch: BranchIdentity, { answer, isRefusal }: Outcome<Answer>): Promise<Answer> {
    if (isRefusal) await this.ports.database.rollBack(branch);
    return answer;
  }

  /** Ends the transaction that holds the row. */
  private async carryOut<Answer>(
    client: PoolClient,
    branch: BranchIdentity,
    judgement: Judgement<Answer>,
  ): Promise<Outcome<Answer>> {
    const { statements } = this.ports;
    switch (judgement.type) {
      case 'say':
      case 'refuse-and-say':
        await statements.confirmAndRelease(client);
        return { answer: judgement.answer, isRefusal: judgement.type === 'refuse-and-say' };
      case 'save-and-say':
        await statements.saveBallots(client, branch, judgement.state);
        return judgement;
      default:
        return unreachable(judgement, 'judgement');
    }
  }
}

function isFirstAccept(request: BallotRequest): boolean {
  return request.type === 'accept' && request.value === 'commit' && compareBallots(request.ballot, FIRST_BALLOT) === 0;
}

/** The row of a branch that has just voted. */
function firstRow(acceptors: readonly Acceptor[], cast: CastVote): AcceptorRow {
  const ballots = { promised: undefined, accepted: undefined, decision: undefined };
  if (cast.vote === 'no') return { vote: cast.vote, results: [], error: cast.error, acceptors, ...ballots };
  return { vote: cast.vote, results: cast.results, error: undefined, acceptors, ...ballots };
}

function unavailable({ branchId }: BranchIdentity, what: string): ResourceManagerUnavailableError {
  return new ResourceManagerUnavailableError(`branch ${branchId} ${what}`);
}
