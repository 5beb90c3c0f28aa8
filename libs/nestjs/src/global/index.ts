export { ContextDeserializer } from './carriers.js';
export * from './concordat.module.js';
export {
  InjectGlobalTransactions,
  getClientToken,
  getGlobalTransactionsToken,
  getParticipantToken,
} from './connection.js';
export {
  GlobalTransaction,
  JoinGlobalTransaction,
  type TransactionalMethodDecorator,
  type TransactionalResult,
} from './decorators.js';
export { publishAfterCommit, type EventBusLike } from './event-bus.js';
export {
  CONCORDAT_OPTIONS,
  type ConcordatAsyncOptions,
  type ConcordatOptions,
  type ConcordatOptionsFactory,
} from './options.js';
export { runObservable } from './observables.js';
export { joinClientProxy } from './outgoing/client-proxy.js';
