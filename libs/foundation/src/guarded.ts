import { errorMessage } from './coded-error.js';

/**
 * A listener whose exceptions and rejections go to `onError`, never to the process.
 *
 * Whatever Node.js calls when something arrives from outside (a stream, a socket, a server, an emitter) has no caller
 * who could catch: an exception there ends the process, and with it everything that other clients had under way.
 * `onError` ends what the event belongs to (the request, the stream, the connection) and says so in the log.
 *
 * Not for the timers of the engine: an exception there is a broken invariant, and a node that goes on with a broken
 * state is worse than one that starts again from its log.
 *
 * @param onError should not throw; if it does, a process warning says so
 */
export function guarded<Parameters extends readonly unknown[]>(
  listener: (...parameters: Parameters) => unknown,
  onError: (error: unknown) => void,
): (...parameters: Parameters) => void {
  const fail = (error: unknown): void => {
    try {
      onError(error);
    } catch (second) {
      process.emitWarning(`a handler of errors failed: ${errorMessage(second)}`);
    }
  };
  return (...parameters) => {
    try {
      const result = listener(...parameters);
      if (isPromise(result)) result.then(undefined, fail);
    } catch (error) {
      fail(error);
    }
  };
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
