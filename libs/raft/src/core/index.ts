export * from './configuration.js';
export * from './membership.js';
export * from './raft-core.js';
export * from './raft-core.types.js';
export * from './ready.js';
export * from './types.js';
export type { Appended, ProposalRefusal } from './leader.js';
export type { TransferRefusal } from './leadership-transfer.js';
export type { ProgressState } from './progress.js';
