import { Inject, Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { GlobalTransactions, type GlobalTransactionOptions } from '@concordat/participant';
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
