import { GlobalConfigurationError, type GlobalTransactions } from '@concordat/participant';
import { JOINING_INTERCEPTOR } from '../metadata.js';

/** The used members of Nest's `ClientGrpc`, some of them protected. */
export interface GrpcClient {
  readonly url: string;
  readonly options?: { readonly channelOptions?: Readonly<Record<string, unknown>> };
}

/** A client of gRPC as Nest makes it, by its members. */
export function grpcClientOf(value: unknown): GrpcClient | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const names = ['getService', 'getClientByServiceName'];
  const isClient = names.every((name) => typeof Reflect.get(value, name) === 'function');
  return isClient && 'url' in value && typeof value.url === 'string' ? (value as GrpcClient) : undefined;
}

/**
 * Nothing sees the calls of a gRPC client without the interceptor: they would carry no transaction, and the callee would
 * commit by itself.
 *
 * @throws GlobalConfigurationError for a client of Nest whose host is on `propagateTo`, and that has no such interceptor
 */
export function refuseUnjoinedGrpc(client: GrpcClient, { settings }: GlobalTransactions): void {
  const destination = client.url.replace(/^dns:\/*/, '');
  if (settings.propagateTo.audienceOf(destination) === undefined) return;
  const { interceptors, interceptor_providers: providers } = client.options?.channelOptions ?? {};
  if (Array.isArray(providers)) return; // what they give is known only with a call
  const all: unknown[] = Array.isArray(interceptors) ? interceptors : [];
  if (all.some((one) => typeof one === 'function' && JOINING_INTERCEPTOR in one)) return;
  throw new GlobalConfigurationError(
    `the gRPC client of ${destination} has no joiningInterceptor, and ${destination} is on propagateTo: its calls would carry ` +
      `no transaction; give it channelOptions: { interceptors: [joiningInterceptor(transactions, '${destination}')] } of ` +
      '@concordat/nestjs/grpc, or take it off propagateTo',
  );
}
