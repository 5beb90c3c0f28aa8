import { InterceptingCall, Metadata, status, type Interceptor } from '@grpc/grpc-js';
import type { GlobalTransactions, OutgoingCall } from '@concordat/participant';

/**
 * An interceptor for clients of `@grpc/grpc-js`: their calls join. For Nest's `ClientGrpc`:
 * `options: { channelOptions: { interceptors: [joiningInterceptor(transactions, 'inventory:50051')] } }`.
 *
 * @param destination as on `propagateTo`
 */
export function joiningInterceptor(transactions: GlobalTransactions, destination: string): Interceptor {
  return (options, nextCall) => {
    const call = transactions.outgoing(destination);
    const inner = nextCall(options);
    if (!call) return new InterceptingCall(inner);
    return new InterceptingCall(inner, {
      start: (metadata, _listener, next) => {
        for (const [name, value] of Object.entries(call.headers)) metadata.set(name, value);
        let proof = new Metadata();
        next(metadata, {
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
        });
      },
      cancel: (next) => {
        call.failed(new Error('the call was cancelled'));
        next();
      },
    });
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
