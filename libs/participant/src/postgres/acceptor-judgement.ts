import { invariant } from '@concordat/foundation';
import {
  isPossibleBallot,
  isSameAcceptorSet,
  promiseOwnBallot,
  proposerNumber,
  stepAcceptor,
  type Acceptor,
  type AcceptorState,
  type BallotAnswer,
  type BallotRequest,
  type Decision,
  type OpenedBallot,
} from '@concordat/commit-protocol';
import type { BranchIdentity } from '../runtime/resource-manager.js';
import { isAcceptorList } from './statements/acceptor-row.js';
import type { AcceptorRow, AcceptorTrace } from './statements/rows.js';

const NO_ACCEPTOR = { type: 'not-an-acceptor' } as const;

/** The change of the locked row, and the answer to send after it. */
export type Judgement<Answer> =
  | { readonly type: 'say'; readonly answer: Answer }
  /**
   * Save the ballots, in a row with the vote `no` if there is none. If `isRefusal`, roll the branch back and write its
   * tombstone before the answer is sent.
   */
  | {
      readonly type: 'save-and-say';
      readonly state: AcceptorState;
      readonly answer: Answer;
      readonly isRefusal: boolean;
    }
  /** its vote is `no`, and the tombstone may be missing: roll back before the answer is sent */
  | { readonly type: 'refuse-and-say'; readonly answer: Answer };

/**
 * How a branch answers a ballot request, given the rows of its database (protocol section 6). Pure. The row stays
 * locked from reading it until `state` is durable.
 */
export function judgeRequest(
  { branchId }: BranchIdentity,
  trace: AcceptorTrace,
  request: BallotRequest,
  acceptors: readonly Acceptor[],
): Judgement<BallotAnswer | 'refused' | 'unknown'> {
  const { acceptor } = trace;
  const isPossible = isAcceptorList(acceptors, branchId) && isPossibleBallot(request.ballot, acceptors.length);
  if (!isPossible) return { type: 'say', answer: 'refused' };
  const decision = certainDecisionOf(trace);
  if (decision) return { type: 'say', answer: { type: 'decided', decision } };
  if (trace.abstains) return { type: 'say', answer: abstention(trace, request) };
  // In two phases, or its participant died before the vote was recorded: there it may still vote yes.
  if (!acceptor && (trace.prepared || trace.ledger?.outcome === 'committed')) return { type: 'say', answer: 'unknown' };
  if (acceptor && !isSameAcceptorSet(acceptor.acceptors, acceptors)) return { type: 'say', answer: 'refused' };
  const step = stepAcceptor(stateOf(acceptor), request, trace.ledger?.outcome === 'committed');
  if (step.type === 'refuse') return { type: 'say', answer: 'refused' };
  const { state, answer } = step;
  return { type: 'save-and-say', state, answer, isRefusal: state.vote === 'no' && !isRolledBack(trace) };
}

/** The ballot that a branch may open, given the rows of its database; see `judgeRequest`. */
export function judgeOpening({ branchId }: BranchIdentity, trace: AcceptorTrace): Judgement<OpenedBallot> {
  const { acceptor } = trace;
  if (acceptor?.vote === 'no') return { type: isRolledBack(trace) ? 'say' : 'refuse-and-say', answer: NO_ACCEPTOR };
  const decision = decisionOf(trace);
  if (decision) return { type: 'say', answer: { type: 'decided', decision } };
  if (trace.abstains) return { type: 'say', answer: NO_ACCEPTOR };
  // When all branches are read-only, a commit is decided without a ballot, so none of them may open one.
  if (acceptor?.vote !== 'yes') return { type: 'say', answer: NO_ACCEPTOR };
  const { acceptors, accepted } = acceptor;
  const proposer = proposerNumber(acceptors, branchId);
  invariant(proposer !== undefined, 'a row is read only with the branch in its own list');
  const own = promiseOwnBallot(stateOf(acceptor), proposer);
  // All rounds are used up: it can only inquire.
  if (!own) return { type: 'say', answer: NO_ACCEPTOR };
  const { state, ballot } = own;
  return { type: 'save-and-say', state, answer: { type: 'opened', ballot, accepted, acceptors }, isRefusal: false };
}

/**
 * The decision that a branch can prove: the recorded one, or abort if its tombstone comes from that decision. Any other
 * tombstone only means that it has not voted yes, as far as its database knows; a majority makes the decision. A
 * committed branch proves nothing: somebody with psql may have committed it before the decision, and what was accepted
 * is recorded anyway.
 */
function certainDecisionOf({ acceptor, ledger }: AcceptorTrace): Decision | undefined {
  if (acceptor?.decision) return acceptor.decision;
  return ledger?.outcome === 'aborted' && ledger.isDecided ? 'abort' : undefined;
}

/** How the branch has ended, or is to end: then it has no reason to open a ballot. */
function decisionOf({ acceptor, ledger }: AcceptorTrace): Decision | undefined {
  if (acceptor?.decision) return acceptor.decision;
  if (!ledger) return undefined;
  return ledger.outcome === 'committed' ? 'commit' : 'abort';
}

/** It still reports whether it has a vote: an accepted commit needed one. */
function abstention({ acceptor, prepared, ledger }: AcceptorTrace, { ballot }: BallotRequest): BallotAnswer {
  const dissents = acceptor ? acceptor.vote === 'no' : !prepared && ledger?.outcome !== 'committed';
  return { type: 'abstains', ballot, ...(dissents && { dissents }) };
}

function isRolledBack({ prepared, ledger }: AcceptorTrace): boolean {
  return ledger?.outcome === 'aborted' && !prepared;
}

function stateOf(row: AcceptorRow | undefined): AcceptorState {
  const { vote, promised, accepted, decision } = row ?? {};
  return { vote, promised, accepted, decision };
}
