import { MAXIMUM_ROUND_JUMP } from './acceptor.js';
import { COORDINATOR_PROPOSER, compareBallots, isPossibleBallot, proposerNumber } from './ballot.js';
import type { AcceptedValue, Acceptor, Ballot, BallotAnswer } from './ballot.js';
import type { BallotAnswerMessage, BallotRequestMessage, BranchAddress } from '../vocabulary/messages.js';

/** Whether a list can be the acceptor set of a transaction: nobody twice, and the branch among them. */
export function isAcceptorSetOf(acceptors: readonly Acceptor[], { branchId, participant }: BranchAddress): boolean {
  const distinct = new Set(acceptors.map((acceptor) => acceptor.branchId));
  return distinct.size === acceptors.length && includesAcceptor(acceptors, { branchId, participant });
}

export function includesAcceptor(acceptors: readonly Acceptor[], { branchId, participant }: Acceptor): boolean {
  return acceptors.some((acceptor) => acceptor.branchId === branchId && acceptor.participant === participant);
}

/** Whether two lists are the same acceptor set, in the same order: the numbers of the proposers hang on it. */
export function isSameAcceptorSet(left: readonly Acceptor[], right: readonly Acceptor[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ branchId, participant }, place) => {
      return right[place]?.branchId === branchId && right[place].participant === participant;
    })
  );
}

/**
 * Whether a request can have been made by a proposer that keeps the rules (protocol section 6): its ballot is its own,
 * it is a member of the set, as is the branch it asks, and in the first ballot nothing but commit is proposed, at once.
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
 * Whether an acceptor that keeps the rules can have given an answer to this very ballot. A number out of reach would
 * leave the proposer no room for a next ballot that others answer, and a value accepted in a ballot above the one that
 * is promised, or an abort in the first, would be chosen over the one that counts.
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

/** Who an answer is for, as a branch of a participant; undefined for the coordinators. */
export function addresseeOf({ transactionId, proposer }: BallotAnswerMessage): BranchAddress | undefined {
  return proposer && { transactionId, ...proposer };
}
