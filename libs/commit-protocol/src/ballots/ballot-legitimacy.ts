import { MAXIMUM_ROUND_JUMP } from './acceptor.js';
import { COORDINATOR_PROPOSER, compareBallots, isPossibleBallot, proposerNumber } from './ballot.js';
import type { AcceptedValue, Acceptor, Ballot, BallotAnswer } from './ballot.js';
import type { BallotAnswerMessage, BallotRequestMessage, BranchAddress } from '../vocabulary/messages.js';

/** Whether a list can be the acceptor set of a transaction: no duplicates, and the branch is in it. */
export function isAcceptorSetOf(acceptors: readonly Acceptor[], { branchId, participant }: BranchAddress): boolean {
  const distinct = new Set(acceptors.map((acceptor) => acceptor.branchId));
  return distinct.size === acceptors.length && includesAcceptor(acceptors, { branchId, participant });
}

export function includesAcceptor(acceptors: readonly Acceptor[], { branchId, participant }: Acceptor): boolean {
  return acceptors.some((acceptor) => acceptor.branchId === branchId && acceptor.participant === participant);
}

/** Whether two lists are the same acceptor set in the same order, on which the proposer numbers depend. */
export function isSameAcceptorSet(left: readonly Acceptor[], right: readonly Acceptor[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ branchId, participant }, place) => {
      return right[place]?.branchId === branchId && right[place].participant === participant;
    })
  );
}

/**
 * Whether a correct proposer can have made a request (protocol section 6): the ballot is its own, proposer and branch
 * are in the set, and the first ballot only proposes commit, without asking for promises.
 */
export function isLegitimateRequest(message: BallotRequestMessage): boolean {
  const { request, acceptors, proposer } = message;
  const { ballot } = request;
  if (!isAcceptorSetOf(acceptors, message) || !isPossibleBallot(ballot, acceptors.length)) return false;
  if (ballot.round === 0 && (request.type !== 'accept' || request.value !== 'commit')) return false;
  if (!proposer) return ballot.proposer === COORDINATOR_PROPOSER;
  return includesAcceptor(acceptors, proposer) && proposerNumber(acceptors, proposer.branchId) === ballot.proposer;
}

/**
 * Whether a correct acceptor can have answered this ballot so. A forged round would leave the proposer no ballot that
 * others answer. A forged value, accepted above the promised ballot or an abort in the first, would replace the right
 * one.
 */
export function isLegitimateAnswer(answer: BallotAnswer, asked: Ballot, acceptorCount: number): boolean {
  switch (answer.type) {
    case 'outbid':
      return (
        isPossibleBallot(answer.promised, acceptorCount) && answer.promised.round - asked.round <= MAXIMUM_ROUND_JUMP
      );
    case 'promised':
      return answer.accepted === undefined || isAcceptedBelow(answer.accepted, asked, acceptorCount);
    default:
      return true;
  }
}

function isAcceptedBelow({ ballot, value }: AcceptedValue, asked: Ballot, acceptorCount: number): boolean {
  if (ballot.round === 0 && value !== 'commit') return false;
  return isPossibleBallot(ballot, acceptorCount) && compareBallots(ballot, asked) < 0;
}

/** The branch that an answer is for; undefined for the coordinators. */
export function addresseeOf({ transactionId, proposer }: BallotAnswerMessage): BranchAddress | undefined {
  return proposer && { transactionId, ...proposer };
}
