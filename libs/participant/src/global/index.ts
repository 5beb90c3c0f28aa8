export {
  ContextCodec,
  CONTEXT_HEADER,
  INVITATION_HEADER,
  TRACE_HEADER,
  type TransactionContext,
} from './context-header.js';
export {
  CONTEXT_KEY_FILE_VARIABLE,
  CONTEXT_KEY_VARIABLE,
  contextKeysOf,
  type ContextKeySettings,
  type ContextKeySource,
} from './context-keys.js';
export { runGenerator } from './async-results.js';
export { createGlobalTransactions, type GlobalTransactionsOptions } from './create-global-transactions.js';
export { CurrentTransaction } from './current-transaction.js';
export { derivedBranchId, type Delivery } from './derived-branch-id.js';
export {
  joinMessage,
  joinProducer,
  joiningEachMessage,
  reportPlace,
  type DeliveredMessage,
  type JoinMessageOptions,
  type ProducerLike,
} from './kafka.js';
export { joinAxios, type AxiosLike } from './outgoing/axios.js';
export { callOf, messageOf } from './outgoing/calls.js';
export { joinFetch } from './outgoing/fetch.js';
export { watchUnjoinedClients } from './outgoing/unjoined-clients.js';
export { OutgoingMessage } from './outgoing-message.js';
export { isAcknowledged } from './too-late.js';
export * from './errors.js';
export {
  DEFAULT_OUTCOME_LIMIT_MS,
  GlobalTransactions,
  type GlobalTransactionsPorts,
  type GlobalTransactionsSettings,
} from './global-transactions.js';
export type { GlobalHook } from './hooks.js';
export { BRANCH_HEADER, DOOMED_HEADER, OFFER_HEADER, UNLISTED_HEADER } from './joining-answer.js';
export { join, type AnswerSink, type IncomingCall } from './joining.js';
export {
  DestinationList,
  PROPAGATIONS,
  checkGlobalTransactionOptions,
  checkPropagation,
  type Destination,
  type GlobalTransactionOptions,
  type Propagation,
  type RetryOptions,
} from './options.js';
export { OutgoingCall, type CallAnswer } from './outgoing-call.js';
export type * from './ports.js';
export type { RefusedContexts, RefusedContextCounts } from './refused-contexts.js';
export { RestCoordinators } from './rest-coordinators.js';
export { TransactionScope } from './transaction-scope.js';
