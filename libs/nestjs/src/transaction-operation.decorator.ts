import { Catch, UseFilters, type ExceptionFilter } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { PARAM_ARGS_METADATA } from '@nestjs/microservices/constants.js';
import { throwError, type Observable } from 'rxjs';
import { BranchRefusedError } from '@concordat/participant';
import type { OperationSchema } from './operation-schema.js';

/** Names the transport, so that Nest's other transports ignore these handlers. */
export const CONCORDAT_TRANSPORT = Symbol('CONCORDAT_TRANSPORT');

export interface TransactionOperationOptions {
  /** schema of the payload; an invalid one is a vote `no` with `INVALID_PAYLOAD` */
  readonly schema?: OperationSchema;
}

/** Passes a refusal through; Nest's own filter would turn it into an internal error. */
@Catch(BranchRefusedError)
export class BranchRefusedFilter implements ExceptionFilter<BranchRefusedError> {
  catch(error: BranchRefusedError): Observable<never> {
    return throwError(() => error);
  }
}

/**
 * Makes a method of a provider or controller the handler of an operation. It is called as
 * `(payload, context: PostgresContext)` inside the branch's local transaction, through Nest's guards, pipes,
 * interceptors and exception filters. Its return value becomes the operation's `result`. A method with decorated
 * parameters (`@Payload()`, `@Ctx()`) gets those.
 *
 * @param operation the name that clients use, unique in the participant
 */
export function TransactionOperation(operation: string, options: TransactionOperationOptions = {}): MethodDecorator {
  return (target, key, descriptor) => {
    const marked: unknown = Reflect.getMetadata(PARAM_ARGS_METADATA, target.constructor, key);
    if (marked === undefined) {
      Payload()(target, key, 0);
      Ctx()(target, key, 1);
    }
    UseFilters(BranchRefusedFilter)(target, key, descriptor);
    MessagePattern(operation, CONCORDAT_TRANSPORT as never, { ...options })(target, key, descriptor);
  };
}
