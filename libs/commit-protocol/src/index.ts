export * from './coordinator/admission.js';
export { branchError, INVALID_ERROR_CODE } from './vocabulary/branch-error.js';
export * from './coordinator/coordinator.js';
export type * from './coordinator/coordinator.types.js';
export * from './log/decision-state.js';
export type { ApplyResult, Refusal } from './log/apply-result.js';
export * from './log/ended-transactions.js';
export type { DecisionStateSnapshot, SnapshotRemainder } from './log/decision-state-snapshot.js';
export type { FrozenState } from './log/frozen-state.js';
export type { ParticipantState } from './log/known-participants.js';
export type * from './log/locks/lock-records.js';
export { isLockRecord } from './log/locks/lock-records.js';
export type { LockLease, LockRefusal } from './log/locks/lock-lease.js';
export * from './vocabulary/gid.js';
export { LIMITS } from './vocabulary/limits.js';
export { MAXIMUM_TIME_STEP_MS, type LogTime, type LogTimeSnapshot } from './log/log-time.js';
export { judgeRuling, MAXIMUM_RULINGS, rulingState, type Ruling, type RulingRefusal } from './log/ruling-judgement.js';
export { MAXIMUM_OLD_RULINGS, type OldRuling } from './log/old-rulings.js';
export type * from './vocabulary/messages.js';
export { MESSAGE_VERSION } from './vocabulary/messages.js';
export type * from './log/records.js';
export * from './log/transaction-state.js';
export * from './vocabulary/types.js';
export * from './participant/participant.js';
export type * from './participant/participant.types.js';
export {
  isDissent,
  MAXIMUM_ROUND_JUMP,
  promiseOwnBallot,
  stepAcceptor,
  type AcceptorState,
} from './ballots/acceptor.js';
export * from './ballots/ballot.js';
export { isSameAcceptorSet } from './ballots/ballot-legitimacy.js';
export type { OpenedBallot } from './participant/branch-ballots.js';
