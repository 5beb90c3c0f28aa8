import {
  Inject,
  Injectable,
  Optional,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { defer, from, lastValueFrom, mergeMap, toArray, type Observable } from 'rxjs';
import { GlobalTransactions, isAcknowledged, join, type GlobalTransactionOptions } from '@concordat/participant';
import { injected, tokensOf } from './connection.js';
import { CONCORDAT_OPTIONS, type ConcordatOptions } from './options.js';
import { JOIN_GLOBAL_TRANSACTION } from './metadata.js';
import { incomingOf } from './incoming.js';

/**
 * Runs a handler with `@JoinGlobalTransaction()` in its caller's transaction, inside all other interceptors, so that it
 * sees the handler's own errors. The answer carries the proof.
 */
@Injectable()
export class JoiningInterceptor implements NestInterceptor {
  constructor(
    @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
    @Inject(CONCORDAT_OPTIONS) private readonly options: ConcordatOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const options = Reflect.getMetadata(JOIN_GLOBAL_TRANSACTION, context.getHandler()) as GlobalTransactionOptions;
    return defer(() => from(this.handle(context, next, options))).pipe(mergeMap((values) => from(values)));
  }

  /** All values of the handler: they leave only when the branch is enlisted. */
  private async handle(
    context: ExecutionContext,
    next: CallHandler,
    options: GlobalTransactionOptions,
  ): Promise<readonly unknown[]> {
    const incoming = incomingOf(context, this.names(), this.adapterHost.httpAdapter);
    let headers: Readonly<Record<string, string>> = {};
    try {
      const values = await join(
        this.transactions,
        incoming.call,
        options,
        () => lastValueFrom(next.handle().pipe(toArray())),
        (given) => {
          headers = given;
          incoming.answerWith(given);
        },
      );
      return incoming.prove(values, headers);
    } catch (error) {
      const { isEvent, delivery, context: brought } = incoming.call;
      if (
        isEvent &&
        delivery &&
        isAcknowledged(error, { context: brought, delivery }, this.transactions.ports.logger)
      ) {
        return [undefined]; // not nothing: that would be an error for Nest, and Kafka would deliver it again
      }
      throw error;
    }
  }

  private names(): { readonly own: readonly string[]; readonly areComplete: boolean } {
    const { participant, audiences } = this.options;
    return { own: [participant, ...(audiences ?? [])], areComplete: audiences !== undefined };
  }
}

/** The interceptor of the module with this name. */
export function joiningInterceptor(connectionName: string | undefined): Type<NestInterceptor> {
  if (connectionName === undefined) return JoiningInterceptor;
  const tokens = tokensOf(connectionName);

  @Injectable()
  class NamedJoiningInterceptor extends JoiningInterceptor {
    constructor(
      @Inject(HttpAdapterHost) adapterHost: HttpAdapterHost,
      @Optional() @Inject(tokens.transactions) transactions?: GlobalTransactions,
      @Optional() @Inject(tokens.options) options?: ConcordatOptions,
    ) {
      super(injected(transactions, connectionName!), injected(options, connectionName!), adapterHost);
    }
  }
  return NamedJoiningInterceptor;
}
