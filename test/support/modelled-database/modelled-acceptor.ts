import type { Acceptor, AcceptorState, BallotAnswer, BallotRequest, OpenedBallot } from '@concordat/commit-protocol';
import type { BranchIdentity } from '@concordat/participant';
import { judgeOpening, judgeRequest, type Judgement } from '@concordat/participant/testing';
import { acceptorRow, traceOf, type AcceptorRow, type CastVote } from './database-rows.js';
import type { DatabaseSession } from './database-session.js';

export interface ModelledAcceptorPorts {
  connected<T>(use: (session: DatabaseSession) => Promise<T>): Promise<T>;
  gidOf(branch: BranchIdentity): string;
  /** resolves when nothing of the branch is prepared and its tombstone is durable */
  rollBack(branch: BranchIdentity): Promise<unknown>;
}

const LOCK_TIMEOUT_MS = 500;
/** Branches as acceptors (protocol section 6) on the modelled database, statement by statement as on PostgreSQL. */
export class ModelledAcceptor {
  constructor(private readonly ports: ModelledAcceptorPorts) {}

  /** The row that stands then, with the first vote. */
  recordVote(branch: BranchIdentity, acceptors: readonly Acceptor[], cast: CastVote): Promise<AcceptorRow> {
    const row = acceptorRow(branch.transactionId, acceptors, cast);
    return this.ports.connected((session) => session.insertAcceptor(branch.branchId, row));
  }

  async answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'> {
    const { answer, hasVotedNo } = await this.ports.connected(async (session) => {
      const { branchId, transactionId } = branch;
      const row = await session.lockAcceptor(branchId, LOCK_TIMEOUT_MS);
      const { prepared, ledger } = await session.readTrace(branchId, this.ports.gidOf(branch));
      const isDecided = row?.decision !== undefined || ledger?.isDecided === true;
      const abstains = !isDecided && (await session.abstains(transactionId));
      const judgement = judgeRequest(branch, traceOf(prepared, ledger, row, abstains), request, acceptors);
      const before = row ?? acceptorRow(transactionId, acceptors, { vote: 'no', results: [] });
      const isSaved = await this.save(session, branchId, before, judgement);
      return { answer: judgement.answer, hasVotedNo: isSaved && before.vote === 'no' };
    });
    if (hasVotedNo) await this.ports.rollBack(branch);
    return answer;
  }

  openBallot(branch: BranchIdentity): Promise<OpenedBallot> {
    return this.ports.connected(async (session) => {
      const { branchId, transactionId } = branch;
      const row = await session.lockAcceptor(branchId, LOCK_TIMEOUT_MS);
      const { prepared, ledger } = await session.readTrace(branchId, this.ports.gidOf(branch));
      const abstains = !ledger && (await session.abstains(transactionId));
      const judgement = judgeOpening(branch, traceOf(prepared, ledger, row, abstains));
      if (row) await this.save(session, branchId, row, judgement);
      return judgement.answer;
    });
  }

  recordDecision({ branchId }: BranchIdentity, decision: 'commit' | 'abort'): Promise<void> {
    return this.ports.connected(async (session) => {
      const row = await session.lockAcceptor(branchId, LOCK_TIMEOUT_MS);
      if (row) await session.saveAcceptor(branchId, { ...row, decision: row.decision ?? decision });
    });
  }

  private async save(
    session: DatabaseSession,
    branchId: string,
    before: AcceptorRow,
    judgement: Judgement<unknown>,
  ): Promise<boolean> {
    if (judgement.type !== 'save-and-say') return false;
    await session.saveAcceptor(branchId, withBallots(before, judgement.state));
    return true;
  }
}

export function withBallots(row: AcceptorRow, { promised, accepted }: AcceptorState): AcceptorRow {
  return { ...row, promised, accepted };
}
