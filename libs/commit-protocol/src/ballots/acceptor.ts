import {
  compareBallots,
  COORDINATOR_PROPOSER,
  FIRST_BALLOT,
  MAXIMUM_ROUND,
  type AcceptedValue,
  type Ballot,
  type BallotAnswer,
  type BallotRequest,
  type Dissent,
} from './ballot.js';
import type { Decision, Vote } from '../vocabulary/types.js';

/**
 * The state of an acceptor (protocol section 6; single-decree Paxos, Lamport, "Paxos Made Simple", section 2.2). It
 * must be durable before an answer is sent.
 */
export interface AcceptorState {
  /** undefined: no vote yet */
  readonly vote: Vote | undefined;
  /** the highest ballot that was answered */
  readonly promised: Ballot | undefined;
  readonly accepted: AcceptedValue | undefined;
  readonly decision: Decision | undefined;
}

export type AcceptorStep =
  /**
   * Make `state` durable if it differs, then send `answer`. With a vote of `no`, the tombstone must be written before
   * that, so that nothing can be prepared any more.
   */
  | { readonly type: 'answer'; readonly state: AcceptorState; readonly answer: BallotAnswer }
  /** no proposer can have counted this far: after one forged number no real ballot would fit above it */
  | { readonly type: 'refuse' };

/** How far a ballot may lie above the highest one an acceptor has seen: at one ballot in five seconds, 58 days. */
export const MAXIMUM_ROUND_JUMP = 1_000_000;

/** A dissenter promises this when it is asked to accept the first ballot, so the next round asks for promises first. */
const SECOND_ROUND: Ballot = { round: 1, proposer: COORDINATOR_PROPOSER };

/**
 * How an acceptor handles a request. Pure, so every instance of a participant does the same.
 *
 * An acceptor without a vote votes `no` with its answer, and is an acceptor like the others from then on. It does not
 * accept the first ballot, which relies on all votes and asks for no promises. It outbids that ballot, so that the
 * coordinators ask a majority what was accepted.
 *
 * @param isCommitted whether its work is committed; the promise carries this, and the proposer decides whether it
 *   counts
 */
export function stepAcceptor(state: AcceptorState, request: BallotRequest, isCommitted = false): AcceptorStep {
  const { ballot } = request;
  if (state.decision) return { type: 'answer', state, answer: { type: 'decided', decision: state.decision } };
  if (ballot.round - (state.promised?.round ?? 0) > MAXIMUM_ROUND_JUMP) return { type: 'refuse' };
  const isDissenter = state.vote !== 'yes' && state.vote !== 'read-only';
  const own: AcceptorState = isDissenter ? { ...state, vote: 'no' } : state;
  const dissent: Dissent = isDissenter ? { dissents: true } : {};
  const promised = own.promised ?? (isDissenter && ballot.round === FIRST_BALLOT.round ? SECOND_ROUND : undefined);
  if (promised && compareBallots(ballot, promised) < 0)
    return { type: 'answer', state: { ...own, promised }, answer: { type: 'outbid', ballot, promised, ...dissent } };
  if (request.type === 'promise')
    return {
      type: 'answer',
      state: { ...own, promised: ballot },
      answer: { type: 'promised', ballot, accepted: own.accepted, ...(isCommitted && { committed: true }), ...dissent },
    };
  return {
    type: 'answer',
    state: { ...own, promised: ballot, accepted: { ballot, value: request.value } },
    answer: { type: 'accepted', ballot, ...dissent },
  };
}

/**
 * Whether an acceptor contradicts itself: it is asked to accept the commit, which needed its own vote, and has no vote.
 * Only a database that has lost the vote answers so.
 */
export function revealsAmnesia(request: BallotRequest, answer: BallotAnswer): boolean {
  return request.type === 'accept' && request.value === 'commit' && isDissent(answer);
}

export function isDissent(answer: BallotAnswer): boolean {
  return answer.type !== 'decided' && answer.dissents === true;
}

/**
 * The acceptor's own next ballot, above all that it has seen, promised to itself. Must be durable before it is sent,
 * and made in one step with reading `state`, so that two processes of a participant never share a ballot. Undefined
 * when the rounds are used up.
 */
export function promiseOwnBallot(
  state: AcceptorState,
  proposer: number,
): { readonly state: AcceptorState; readonly ballot: Ballot } | undefined {
  const ballot: Ballot = { round: (state.promised?.round ?? 0) + 1, proposer };
  return ballot.round > MAXIMUM_ROUND ? undefined : { state: { ...state, promised: ballot }, ballot };
}
