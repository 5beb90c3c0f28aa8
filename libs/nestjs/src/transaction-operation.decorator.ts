import { Catch, SetMetadata, UseFilters, type ExceptionFilter } from '@nestjs/common';
import { throwError, type Observable } from 'rxjs';
import type { OperationContract, OperationTypes, StandardSchema } from '@concordat/client';
import { BranchRefusedError, type PostgresContext } from '@concordat/participant';
import type { ConnectionOptions } from './connection-name.js';
import { CONNECTION_NAME } from './global/metadata.js';
import { PARAM_ARGS_METADATA, markAsHandler, markPayloadAndContext } from './nest-messages.js';

/** Names the transport, so that Nest's other transports ignore these handlers. */
export const CONCORDAT_TRANSPORT = Symbol('CONCORDAT_TRANSPORT');
/** Among the extras of a handler: it has this decorator. */
export const OPERATION = Symbol('OPERATION');

/** Checks and parses payloads: a Standard Schema, such as one of zod, valibot or arktype. */
export type OperationSchema = StandardSchema;

export interface TransactionOperationOptions extends ConnectionOptions {
  /** schema of the payload; an invalid one is a vote `no` with `INVALID_PAYLOAD` */
  readonly schema?: OperationSchema;
}

/** What the handlers of an operation carry. */
export interface OperationExtras extends TransactionOperationOptions {
  /** of the contract, which belongs to this participant alone; undefined for an operation without a contract */
  readonly participant?: string;
}

type Returned<Value> = undefined extends Value ? Value | void : Value;
type Awaitable<Value> = Value | Promise<Value> | Observable<Value>;

/** A handler of a contracted operation. */
export type ContractedHandler<Types extends OperationTypes> = (
  payload: Types['parsedPayload'],
  context: PostgresContext,
) => Awaitable<Returned<Types['returned']>>;

/** Decorates a method that takes the payload of a contract and returns its result; the compiler refuses others. */
export type ContractedOperationDecorator<Types extends OperationTypes> = <Handler extends ContractedHandler<Types>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Handler>,
) => void;

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
 * With a contract of `@concordat/client`, `@TransactionOperation(bankA.debit)`, the name and the schema come from it,
 * and the compiler checks the types of the method.
 *
 * @param operation the name that clients use, unique in the participant
 */
export function TransactionOperation(operation: string, options?: TransactionOperationOptions): MethodDecorator;
export function TransactionOperation<Types extends OperationTypes>(
  contract: OperationContract<Types>,
  options?: ConnectionOptions,
): ContractedOperationDecorator<Types>;
export function TransactionOperation(
  named: string | OperationContract,
  options: TransactionOperationOptions = {},
): MethodDecorator {
  const operation = typeof named === 'string' ? named : named.operation;
  const extras: OperationExtras = typeof named === 'string' ? options : extrasOf(named, options);
  return (target, key, descriptor: PropertyDescriptor) => {
    const marked: unknown = Reflect.getMetadata(PARAM_ARGS_METADATA, target.constructor, key);
    if (marked === undefined) markPayloadAndContext(target.constructor, key);
    if (extras.connectionName !== undefined)
      SetMetadata(CONNECTION_NAME, extras.connectionName)(target, key, descriptor);
    UseFilters(BranchRefusedFilter)(target, key, descriptor);
    markAsHandler(descriptor.value as object, operation, CONCORDAT_TRANSPORT, { ...extras, [OPERATION]: true });
  };
}

function extrasOf(
  { participant, settings: { payload } }: OperationContract,
  { connectionName }: ConnectionOptions,
): OperationExtras {
  return {
    participant,
    ...(payload !== undefined && { schema: payload }),
    ...(connectionName !== undefined && { connectionName }),
  };
}
