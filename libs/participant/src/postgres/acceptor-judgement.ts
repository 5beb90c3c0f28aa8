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
import type { AcceptorRow, AcceptorTrace } from './types.js';

/** What is to be done with the row that is locked, and then said. */
export type Judgement<Answer> =
  | { readonly type: 'say'; readonly answer: Answer }
  | { readonly type: 'save-and-say'; readonly state: AcceptorState; readonly answer: Answer }
  /** its vote is `no`: it is aborted, once more unless that is known to have succeeded */
  | { readonly type: 'abort' };

export type RequestJudgement =
  | Judgement<BallotAnswer | 'refused' | 'unknown'>
  /** it has not voted: `no` is put on record, then the branch is aborted */
  | { readonly type: 'refuse-vote' };

/**
 * What a branch does with a request of a ballot, given what its database knows of it (protocol section 6). Pure; the
 * row is locked from reading until `state` is durable.
 */
export function judgeRequest(
  { branchId }: BranchIdentity,
  trace: AcceptorTrace,
  request: BallotRequest,
  acceptors: readonly Acceptor[],
): RequestJudgement {
  const { acceptor } = trace;
  const isPossible = isAcceptorList(acceptors, branchId) && isPossibleBallot(request.ballot, acceptors.length);
  if (!isPossible) return { type: 'say', answer: 'refused' };
  if (acceptor?.vote === 'no') return afterRefusal(trace, { type: 'decided', decision: 'abort' });
  const decision = certainDecisionOf(trace);
  if (decision) return { type: 'say', answer: { type: 'decided', decision } };
  // In two phases, or its participant died before the vote was on record: there it may still vote yes.
  if (!acceptor && (trace.prepared || trace.ledger)) return { type: 'say', answer: 'unknown' };
  if (acceptor && !isSameAcceptorSet(acceptor.acceptors, acceptors)) return { type: 'say', answer: 'refused' };
  const step = stepAcceptor(stateOf(acceptor), request);
  switch (step.type) {
    case 'abort-alone':
      return { type: 'refuse-vote' };
    case 'refuse':
      return { type: 'say', answer: 'refused' };
    case 'answer': {
      const { state, answer } = step;
      return answer.type === 'outbid' ? { type: 'say', answer } : { type: 'save-and-say', state, answer };
    }
  }
}

/** The ballot that a branch may open, given what its database knows of it; as `judgeRequest`. */
export function judgeOpening({ branchId }: BranchIdentity, trace: AcceptorTrace): Judgement<OpenedBallot> {
  const { acceptor } = trace;
  if (acceptor?.vote === 'no') return afterRefusal(trace, { type: 'decided', decision: 'abort' });
  const decision = decisionOf(trace);
  if (decision) return { type: 'say', answer: { type: 'decided', decision } };
  // Where all branches are read-only a commit is decided without a ballot, so none of them may ever open one.
  if (acceptor?.vote !== 'yes') return { type: 'say', answer: { type: 'not-an-acceptor' } };
  const { acceptors, accepted } = acceptor;
  const proposer = proposerNumber(acceptors, branchId);
  invariant(proposer !== undefined, 'a row is read only with the branch in its own list');
  const own = promiseOwnBallot(stateOf(acceptor), proposer);
  // All rounds are used up: like one that is no acceptor, it can only inquire.
  if (!own) return { type: 'say', answer: { type: 'not-an-acceptor' } };
  const { state, ballot } = own;
  return { type: 'save-and-say', state, answer: { type: 'opened', ballot, accepted, acceptors } };
}

/**
 * The decision that a branch can vouch for: the recorded one, or abort where it has its tombstone, which only the
 * protocol writes. That it is committed proves nothing: somebody with psql may have done that against a decision that
 * is still to come, and what was accepted is on record anyway.
 */
function certainDecisionOf({ acceptor, ledger }: AcceptorTrace): Decision | undefined {
  if (acceptor?.decision) return acceptor.decision;
  return ledger?.outcome === 'aborted' ? 'abort' : undefined;
}

/** How the branch has ended, or is to end: there is nothing left for it to open a ballot about. */
function decisionOf({ acceptor, ledger }: AcceptorTrace): Decision | undefined {
  if (acceptor?.decision) return acceptor.decision;
  if (!ledger) return undefined;
  return ledger.outcome === 'committed' ? 'commit' : 'abort';
}

function afterRefusal<Answer>({ prepared, ledger }: AcceptorTrace, answer: Answer): Judgement<Answer> {
  const hasAborted = ledger?.outcome === 'aborted' && !prepared;
  return hasAborted ? { type: 'say', answer } : { type: 'abort' };
}

function stateOf(row: AcceptorRow | undefined): AcceptorState {
  const { vote, promised, accepted, decision } = row ?? {};
  return { vote, promised, accepted, decision };
}
