export * from './concordat-participant.module.js';
export * from './concordat-participant.service.js';
export * from './concordat-transport.js';
export * from './kafka-bus.js';
export type { OperationSchema } from './operation-schema.js';
export * from './options.js';
export {
  BranchRefusedFilter,
  TransactionOperation,
  type TransactionOperationOptions,
} from './transaction-operation.decorator.js';
