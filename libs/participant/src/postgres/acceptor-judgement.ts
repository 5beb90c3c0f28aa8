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

/** What is to be done with the row that is locked, and then said. */
export type Judgement<Answer> =
  | { readonly type: 'say'; readonly answer: Answer }
  /**
   * The ballots are saved, in a row with the vote `no` where there is none. Then, if `isRefusal`, the branch is rolled
   * back and gets its tombstone before anything is said.
   */
  | {
      readonly type: 'save-and-say';
      readonly state: AcceptorState;
      readonly answer: Answer;
      readonly isRefusal: boolean;
    }
  /** its vote is `no`, and its tombstone is not known to be there: it is rolled back before anything is said */
  | { readonly type: 'refuse-and-say'; readonly answer: Answer };

/**
 * What a branch does with a request of a ballot, given what its database knows of it (protocol section 6). Pure; the
 * row is locked from reading until `state` is durable.
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
  // In two phases, or its participant died before the vote was on record: there it may still vote yes.
  if (!acceptor && (trace.prepared || trace.ledger?.outcome === 'committed')) return { type: 'say', answer: 'unknown' };
  if (acceptor && !isSameAcceptorSet(acceptor.acceptors, acceptors)) return { type: 'say', answer: 'refused' };
  const step = stepAcceptor(stateOf(acceptor), request, trace.ledger?.outcome === 'committed');
  if (step.type === 'refuse') return { type: 'say', answer: 'refused' };
  const { state, answer } = step;
  return { type: 'save-and-say', state, answer, isRefusal: state.vote === 'no' && !isRolledBack(trace) };
}

/** The ballot that a branch may open, given what its database knows of it; as `judgeRequest`. */
export function judgeOpening({ branchId }: BranchIdentity, trace: AcceptorTrace): Judgement<OpenedBallot> {
  const { acceptor } = trace;
  if (acceptor?.vote === 'no') return { type: isRolledBack(trace) ? 'say' : 'refuse-and-say', answer: NO_ACCEPTOR };
  const decision = decisionOf(trace);
  if (decision) return { type: 'say', answer: { type: 'decided', decision } };
  if (trace.abstains) return { type: 'say', answer: NO_ACCEPTOR };
  // Where all branches are read-only a commit is decided without a ballot, so none of them may ever open one.
  if (acceptor?.vote !== 'yes') return { type: 'say', answer: NO_ACCEPTOR };
  const { acceptors, accepted } = acceptor;
  const proposer = proposerNumber(acceptors, branchId);
  invariant(proposer !== undefined, 'a row is read only with the branch in its own list');
  const own = promiseOwnBallot(stateOf(acceptor), proposer);
  // All rounds are used up: like one that is no acceptor, it can only inquire.
  if (!own) return { type: 'say', answer: NO_ACCEPTOR };
  const { state, ballot } = own;
  return { type: 'save-and-say', state, answer: { type: 'opened', ballot, accepted, acceptors }, isRefusal: false };
}

/**
 * The decision that a branch can vouch for: the recorded one, or abort where it has the tombstone of one that was told
 * so. Any other tombstone is there because it has not voted yes, as far as its database knows; a decision is made by a
 * majority. That it is committed proves nothing: somebody with psql may have done that against a decision that is still
 * to come, and what was accepted is on record anyway.
 */
function certainDecisionOf({ acceptor, ledger }: AcceptorTrace): Decision | undefined {
  if (acceptor?.decision) return acceptor.decision;
  return ledger?.outcome === 'aborted' && ledger.isDecided ? 'abort' : undefined;
}

/** How the branch has ended, or is to end: there is nothing left for it to open a ballot about. */
function decisionOf({ acceptor, ledger }: AcceptorTrace): Decision | undefined {
  if (acceptor?.decision) return acceptor.decision;
  if (!ledger) return undefined;
  return ledger.outcome === 'committed' ? 'commit' : 'abort';
}

/** What it tells all the same is whether it has a vote: where a commit was accepted, it had one. */
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
