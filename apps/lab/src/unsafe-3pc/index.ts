/** The textbook protocol, which is wrong: for the lab's scenario `unsafe-3pc` and the model that finds it. */
export { UnsafeSystem, type UnsafeAction } from './unsafe-system.js';
export type { UnsafeParticipantState } from './unsafe-participant.js';
export type { UnsafeMessage } from './messages.js';
export { runPartition, type PartitionResult, type PartitionStep } from './partition.js';
