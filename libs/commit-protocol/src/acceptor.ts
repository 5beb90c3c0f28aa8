import { compareBallots, HIGHEST_ROUND, type AcceptedValue, type Ballot } from './ballot.js';
import type { Decision, Vote } from './types.js';

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

/** A proposer asks for the promise to answer no lower ballot, or for the acceptance of a value. */
export type BallotRequest =
  | { readonly type: 'promise'; readonly ballot: Ballot }
  | { readonly type: 'accept'; readonly ballot: Ballot; readonly value: Decision };

export type BallotAnswer =
  | { readonly type: 'promised'; readonly ballot: Ballot; readonly accepted?: AcceptedValue | undefined }
  | { readonly type: 'accepted'; readonly ballot: Ballot }
  /** it has promised a higher one */
  | { readonly type: 'outbid'; readonly ballot: Ballot; readonly promised: Ballot }
  | { readonly type: 'decided'; readonly decision: Decision };

export type AcceptorStep =
  /** `state` is to be made durable if it differs, then `answer` may leave */
  | { readonly type: 'answer'; readonly state: AcceptorState; readonly answer: BallotAnswer }
  /** it has not voted: it aborts alone (tombstone), knows the decision by that, and answers with it */
  | { readonly type: 'abort-alone' }
  /** no proposer can have counted so far: without this one forged number would leave no room for real ballots */
  | { readonly type: 'refuse' };

/** How far a ballot may lie above the last one an acceptor heard of; at one in five seconds, 58 days of ballots. */
export const LONGEST_JUMP = 1_000_000;

/** What an acceptor does with a request. Pure: the same on every instance of a participant. */
export function stepAcceptor(state: AcceptorState, request: BallotRequest): AcceptorStep {
  const { ballot } = request;
  if (state.decision) return { type: 'answer', state, answer: { type: 'decided', decision: state.decision } };
  if (state.vote === 'no') return decided(state, 'abort');
  if (state.vote === undefined) return { type: 'abort-alone' };
  const { promised } = state;
  if (ballot.round - (promised?.round ?? 0) > LONGEST_JUMP) return { type: 'refuse' };
  if (promised && compareBallots(ballot, promised) < 0)
    return { type: 'answer', state, answer: { type: 'outbid', ballot, promised } };
  if (request.type === 'promise')
    return {
      type: 'answer',
      state: { ...state, promised: ballot },
      answer: { type: 'promised', ballot, accepted: state.accepted },
    };
  return {
    type: 'answer',
    state: { ...state, promised: ballot, accepted: { ballot, value: request.value } },
    answer: { type: 'accepted', ballot },
  };
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
  return ballot.round > HIGHEST_ROUND ? undefined : { state: { ...state, promised: ballot }, ballot };
}

function decided(state: AcceptorState, decision: Decision): AcceptorStep {
  return { type: 'answer', state: { ...state, decision }, answer: { type: 'decided', decision } };
}
