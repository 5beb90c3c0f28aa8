import { InterceptingCall, Metadata, status, type Interceptor, type Listener, type StatusObject } from '@grpc/grpc-js';
import type { GlobalTransactions, OutgoingCall } from '@concordat/participant';
import { JOINING_INTERCEPTOR } from '../global/metadata.js';

/**
 * An interceptor for clients of `@grpc/grpc-js`: their calls join. For Nest's `ClientGrpc`:
 * `options: { channelOptions: { interceptors: [joiningInterceptor(transactions, 'inventory:50051')] } }`.
 *
 * @param destination as on `propagateTo`
 */
export function joiningInterceptor(transactions: GlobalTransactions, destination: string): Interceptor {
  const interceptor: Interceptor = (options, nextCall) => {
    let call: OutgoingCall | undefined;
    return new InterceptingCall(nextCall(options), {
      // not before: an interceptor around this one may never start it
      start: (metadata, listener, next) => {
        const begun = transactions.outgoing(destination);
        if (!begun) return next(metadata, listener);
        call = begun;
        const send = (): void => {
          try {
            for (const [name, value] of Object.entries(begun.headers)) metadata.set(name, value);
            next(metadata, proving(begun));
          } catch (error) {
            begun.failed(error);
            throw error;
          }
        };
        const ready = begun.ready(false);
        if (!ready) return send();
        const end = (error: unknown): void => listener.onReceiveStatus(notSent(error));
        ready.then(send).catch(end);
      },
      cancel: (next) => {
        call?.failed(new Error('the call was cancelled'));
        next();
      },
    });
  };
  return Object.assign(interceptor, { [JOINING_INTERCEPTOR]: true });
}

/** The end of a call whose transaction the coordinators did not take. */
function notSent(error: unknown): StatusObject {
  const details = error instanceof Error ? error.message : String(error);
  return { code: status.UNAVAILABLE, details, metadata: new Metadata() };
}

function proving(call: OutgoingCall): Listener {
  let proof = new Metadata();
  return {
    onReceiveMetadata: (received, pass) => {
      proof = received;
      pass(received);
    },
    onReceiveStatus: (end, pass) => {
      try {
        report(call, end, proof);
        pass(end);
      } catch (error) {
        const details = error instanceof Error ? error.message : String(error);
        pass({ ...end, code: status.FAILED_PRECONDITION, details });
      }
    },
  };
}

/** These codes come from the road, not from the callee. */
const NOT_ANSWERED = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.UNKNOWN,
  status.INTERNAL,
]);

function report(call: OutgoingCall, end: { readonly code: status }, proof: Metadata): void {
  const valueOf = (name: string): string | undefined => proof.get(name).at(0)?.toString();
  if (end.code === status.OK) return call.answered({ kind: 'success', valueOf });
  call.answered({ kind: NOT_ANSWERED.has(end.code) ? 'failed' : 'refused', valueOf });
}
