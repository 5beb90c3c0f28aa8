/** A coordinator in memory, with switches for failures, for tests of services that take part in transactions. */
export * from './errors.js';
export type { OpenBranch, OpenTransaction, PreparedTransaction } from './open-transactions.js';
export { LockSwitches, type LockSwitchOptions } from './lock-switches.js';
export { LOCK_REQUESTS, type LockRequest } from './switches/lock-requests.js';
export { CRASH_POINTS, type CrashPoint } from './switches/crash-points.js';
export type { AbortRequest } from './switches/doomed-transactions.js';
export { MESSAGE_KINDS, type MessageKind } from './switches/message-kinds.js';
export type { Delay } from './switches/message-rules.js';
export type { Switch } from './switches/switch.js';
export * from './test-coordinator.js';
export type { BranchView, TransactionView } from 'concordat/embedded';
export type { MemoryContext } from './participant/memory-data.js';
export {
  startTestParticipant,
  type TestOperation,
  type TestParticipant,
  type TestParticipantOptions,
} from './participant/test-participant.js';
export { BranchRefusedError } from '@concordat/participant';
