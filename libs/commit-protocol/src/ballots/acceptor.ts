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
 * What a branch must never forget of ballots (protocol section 6; single-decree Paxos, Lamport, "Paxos Made Simple",
 * section 2.2). Durable before any answer leaves.
 */
export interface AcceptorState {
  /** undefined: it has not voted */
  readonly vote: Vote | undefined;
  /** the highest ballot it has answered */
  readonly promised: Ballot | undefined;
  readonly accepted: AcceptedValue | undefined;
  readonly decision: Decision | undefined;
}

export type AcceptorStep =
  /**
   * `state` is to be made durable if it differs, then `answer` may leave. With a vote of `no`, nothing may be prepared
   * any more, and the tombstone is there, before that.
   */
  | { readonly type: 'answer'; readonly state: AcceptorState; readonly answer: BallotAnswer }
  /** no proposer can have counted so far: without this one forged number would leave no room for real ballots */
  | { readonly type: 'refuse' };

/** How far a ballot may lie above the last one an acceptor heard of; at one in five seconds, 58 days of ballots. */
export const MAXIMUM_ROUND_JUMP = 1_000_000;

/** What a dissenter promises when it is asked to accept the first ballot: the next round is asked for promises first. */
const SECOND_ROUND: Ballot = { round: 1, proposer: COORDINATOR_PROPOSER };

/**
 * What an acceptor does with a request. Pure: the same on every instance of a participant.
 *
 * One that has not voted votes `no` with its answer, and is an acceptor like the others from then on. It does not accept
 * the first ballot, which rests on every vote and asks for no promises: by outbidding it, it has the coordinators ask
 * a majority what was accepted.
 *
 * @param isCommitted whether its work is committed: it says so with its promise, and the proposer knows when that counts
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
 * Whether an acceptor contradicts itself by its answer: it is asked to accept the commit, which needed its own vote,
 * and has none. Only a database that has forgotten the vote does that.
 */
export function revealsAmnesia(request: BallotRequest, answer: BallotAnswer): boolean {
  return request.type === 'accept' && request.value === 'commit' && isDissent(answer);
}

export function isDissent(answer: BallotAnswer): boolean {
  return answer.type !== 'decided' && answer.dissents === true;
}

/**
 * The acceptor's own next ballot, promised to itself; above all it has heard of. To be durable before anybody hears of
 * it, and made in one step with reading `state`: two processes of a participant then never share a ballot.
 * Undefined when there is nothing left to count.
 */
export function promiseOwnBallot(
  state: AcceptorState,
  proposer: number,
): { readonly state: AcceptorState; readonly ballot: Ballot } | undefined {
  const ballot: Ballot = { round: (state.promised?.round ?? 0) + 1, proposer };
  return ballot.round > MAXIMUM_ROUND ? undefined : { state: { ...state, promised: ballot }, ballot };
}
