import { DEFAULT_CONNECTION } from '../connection-name.js';

/** What the decorators leave on a method: `GlobalTransactionOptions`. */
export const GLOBAL_TRANSACTION = Symbol.for('concordat.globalTransaction');
export const JOIN_GLOBAL_TRANSACTION = Symbol.for('concordat.joinGlobalTransaction');
/** On an interceptor of `@grpc/grpc-js`: the calls of its client join. */
export const JOINING_INTERCEPTOR = Symbol.for('concordat.joiningInterceptor');
/** The module that a decorated method belongs to, by its `connectionName`; absent for the one without. */
export const CONNECTION_NAME = Symbol.for('concordat.connectionName');

export function connectionNameOf(method: object): string {
  return (Reflect.getMetadata(CONNECTION_NAME, method) as string | undefined) ?? DEFAULT_CONNECTION;
}
