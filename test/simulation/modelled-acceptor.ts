import {
  isSameAcceptorSet,
  promiseOwnBallot,
  proposerNumber,
  stepAcceptor,
  type Acceptor,
  type AcceptorState,
  type BallotAnswer,
  type BallotRequest,
  type OpenedBallot,
} from '@concordat/commit-protocol';
import type { BranchIdentity } from '@concordat/participant';
import type { AcceptorRow } from './database-rows.js';
import type { DatabaseSession } from './database-session.js';

export type CastVote = Pick<AcceptorRow, 'vote' | 'results' | 'error'>;

export interface ModelledAcceptorPorts {
  connected<T>(use: (session: DatabaseSession) => Promise<T>): Promise<T>;
  gidOf(branch: BranchIdentity): string;
  /** resolves when nothing of the branch is prepared and its tombstone is durable */
  rollBack(branch: BranchIdentity): Promise<unknown>;
}

const LOCK_TIMEOUT_MS = 500;
const UNVOTED: AcceptorState = { vote: undefined, promised: undefined, accepted: undefined, decision: undefined };

interface Answered {
  readonly answer: BallotAnswer | 'refused' | 'unknown';
  /** its tombstone is to be there before the answer leaves */
  readonly hasVotedNo?: boolean;
}

/** Branches as acceptors (protocol section 6) on the modelled database, statement by statement as on PostgreSQL. */
export class ModelledAcceptor {
  constructor(private readonly ports: ModelledAcceptorPorts) {}

  /** The row that stands then, with the first vote. */
  recordVote(branch: BranchIdentity, acceptors: readonly Acceptor[], cast: CastVote): Promise<AcceptorRow> {
    return this.ports.connected((session) => session.insertAcceptor(branch.branchId, rowOf(branch, acceptors, cast)));
  }

  async answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'> {
    const { branchId } = branch;
    const { answer, hasVotedNo } = await this.ports.connected(async (session): Promise<Answered> => {
      const row = await session.lockAcceptor(branchId, LOCK_TIMEOUT_MS);
      const { prepared, ledger } = await session.readTrace(branchId, this.ports.gidOf(branch));
      if (row?.decision) return { answer: { type: 'decided', decision: row.decision } };
      if (ledger?.isDecided) return { answer: { type: 'decided', decision: 'abort' } };
      if (await session.abstains(branch.transactionId)) {
        const dissents = row ? row.vote === 'no' : !prepared && ledger?.outcome !== 'committed';
        return { answer: { type: 'abstains', ballot: request.ballot, ...(dissents && { dissents }) } };
      }
      if (!row && (prepared || ledger?.outcome === 'committed')) return { answer: 'unknown' };
      if (row && !isSameAcceptorSet(row.acceptors, acceptors)) return { answer: 'refused' };
      const step = stepAcceptor(row ?? UNVOTED, request, ledger?.outcome === 'committed');
      if (step.type !== 'answer') return { answer: 'refused' };
      const before = row ?? rowOf(branch, acceptors, { vote: 'no', results: [] });
      await session.saveAcceptor(branchId, { ...before, ...ballotsOf(step.state) });
      return { answer: step.answer, hasVotedNo: before.vote === 'no' };
    });
    if (hasVotedNo) await this.ports.rollBack(branch);
    return answer;
  }

  openBallot(branch: BranchIdentity): Promise<OpenedBallot> {
    return this.ports.connected(async (session): Promise<OpenedBallot> => {
      const { branchId } = branch;
      const row = await session.lockAcceptor(branchId, LOCK_TIMEOUT_MS);
      const { ledger } = await session.readTrace(branchId, this.ports.gidOf(branch));
      if (ledger) return { type: 'decided', decision: ledger.outcome === 'committed' ? 'commit' : 'abort' };
      if (await session.abstains(branch.transactionId)) return { type: 'not-an-acceptor' };
      const proposer = row && proposerNumber(row.acceptors, branchId);
      if (row?.vote !== 'yes' || proposer === undefined) return { type: 'not-an-acceptor' };
      const own = promiseOwnBallot(row, proposer);
      if (!own) return { type: 'not-an-acceptor' };
      await session.saveAcceptor(branchId, { ...row, ...ballotsOf(own.state) });
      return { type: 'opened', ballot: own.ballot, accepted: row.accepted, acceptors: row.acceptors };
    });
  }

  recordDecision({ branchId }: BranchIdentity, decision: 'commit' | 'abort'): Promise<void> {
    return this.ports.connected(async (session) => {
      const row = await session.lockAcceptor(branchId, LOCK_TIMEOUT_MS);
      if (row) await session.saveAcceptor(branchId, { ...row, decision: row.decision ?? decision });
    });
  }
}

function rowOf({ transactionId }: BranchIdentity, acceptors: readonly Acceptor[], cast: CastVote): AcceptorRow {
  return { transactionId, acceptors, promised: undefined, accepted: undefined, decision: undefined, ...cast };
}

function ballotsOf({ promised, accepted }: AcceptorState): Pick<AcceptorState, 'promised' | 'accepted'> {
  return { promised, accepted };
}
