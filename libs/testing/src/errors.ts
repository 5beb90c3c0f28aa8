import { codedError } from '@concordat/foundation';

/** A switch names a participant, a kind of message or a point that does not exist; the message lists what there is. */
export class UnknownNameError extends codedError('UNKNOWN_NAME') {}

/** An argument of a switch cannot be used; the message says what can. */
export class InvalidArgumentError extends codedError('INVALID_ARGUMENT') {}

/** Transactions have not ended in time; the message lists them with their branches, gids and holders. */
export class TransactionsOpenError extends codedError('TRANSACTIONS_OPEN') {}

/** Something that a test waits for has not come in time. */
export class WaitedInVainError extends codedError('WAITED_IN_VAIN') {}
