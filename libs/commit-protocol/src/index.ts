export * from './admission.js';
export { branchError, INVALID_ERROR_CODE } from './branch-error.js';
export * from './coordinator.js';
export type * from './coordinator.types.js';
export * from './delegation.js';
export * from './decision-state.js';
export type { ApplyResult, Refusal } from './apply-result.js';
export * from './ended-transactions.js';
export type { FrozenRemainder, FrozenState } from './frozen-state.js';
export * from './gid.js';
export { LIMITS } from './limits.js';
export { MAXIMUM_TIME_STEP_MS, type LogTime, type LogTimeSnapshot } from './log-time.js';
export { judgeRuling, MAXIMUM_RULINGS, rulingState, type Ruling, type RulingRefusal } from './rulings.js';
export { MAXIMUM_OLD_RULINGS, type OldRuling } from './old-rulings.js';
export type * from './messages.js';
export { MESSAGE_VERSION } from './messages.js';
export type * from './records.js';
export * from './transaction-state.js';
export * from './types.js';
export * from './participant.js';
export type * from './participant.types.js';
export {
  isDissent,
  LONGEST_JUMP,
  promiseOwnBallot,
  stepAcceptor,
  type AcceptorState,
  type BallotAnswer,
  type BallotRequest,
} from './acceptor.js';
export * from './ballot.js';
export { isSameAcceptorSet } from './ballot-legitimacy.js';
export type { OpenedBallot } from './branch-ballots.js';
