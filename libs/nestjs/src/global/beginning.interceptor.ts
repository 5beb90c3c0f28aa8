import {
  Inject,
  Injectable,
  Optional,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import type { Observable } from 'rxjs';
import { GlobalTransactions, type GlobalTransactionOptions } from '@concordat/participant';
import { injected, tokensOf } from './connection.js';
import { GLOBAL_TRANSACTION } from './metadata.js';
import { runObservable } from './observables.js';

/** Runs a handler of a controller with `@GlobalTransaction()`; it answers when the transaction has committed. */
@Injectable()
export class BeginningInterceptor implements NestInterceptor {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const options = Reflect.getMetadata(GLOBAL_TRANSACTION, context.getHandler()) as GlobalTransactionOptions;
    return runObservable(this.transactions, options, () => next.handle() as Observable<unknown>);
  }
}

/** The interceptor of the module with this name. */
export function beginningInterceptor(connectionName: string | undefined): Type<NestInterceptor> {
  if (connectionName === undefined) return BeginningInterceptor;

  @Injectable()
  class NamedBeginningInterceptor extends BeginningInterceptor {
    constructor(@Optional() @Inject(tokensOf(connectionName).transactions) transactions?: GlobalTransactions) {
      super(injected(transactions, connectionName!));
    }
  }
  return NamedBeginningInterceptor;
}
