import { errorMessage } from './coded-error.js';

/**
 * A listener whose exceptions and rejections go to `onError`, never to the process.
 *
 * An event listener of Node.js (of a stream, a socket, a server, an emitter) has no caller that could catch: an
 * exception there ends the process, and with it all requests of other clients. `onError` ends what the event belongs to
 * (the request, the stream, the connection) and logs it.
 *
 * Not for the timers of the engine: an exception there is a broken invariant, and a restart from the log is better than
 * a node with a broken state.
 *
 * @param onError should not throw; if it does, the process emits a warning
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
