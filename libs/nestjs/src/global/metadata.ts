/** What the decorators leave on a method: `GlobalTransactionOptions`. */
export const GLOBAL_TRANSACTION = Symbol.for('concordat.globalTransaction');
export const JOIN_GLOBAL_TRANSACTION = Symbol.for('concordat.joinGlobalTransaction');
