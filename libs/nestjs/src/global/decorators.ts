import { SetMetadata, UseInterceptors, applyDecorators, type NestInterceptor, type Type } from '@nestjs/common';
import {
  GlobalConfigurationError,
  checkGlobalTransactionOptions,
  checkPropagation,
  type GlobalTransactionOptions,
  type Propagation,
} from '@concordat/participant';
import type { Observable } from 'rxjs';
import type { ConnectionOptions } from '../connection-name.js';
import { beginningInterceptor } from './beginning.interceptor.js';
import { joiningInterceptor } from './joining.interceptor.js';
import { CONNECTION_NAME, GLOBAL_TRANSACTION, JOIN_GLOBAL_TRANSACTION } from './metadata.js';
import { putStandIn } from './stand-in.js';

/** What can run in a transaction: its end is seen. A method that returns nothing would return a promise nobody awaits. */
export type TransactionalResult =
  PromiseLike<unknown> | AsyncGenerator<unknown, unknown, unknown> | Observable<unknown>;

/** A decorator for methods that return a promise, an async generator or an Observable; the compiler refuses others. */
export type TransactionalMethodDecorator = <Method extends (...parameters: never[]) => TransactionalResult>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => void;

/**
 * The method runs in a global transaction: by default in the current one, otherwise in a new one that commits when the
 * method returns and aborts when it throws. For methods of providers, whatever their scope, and handlers of controllers
 * that return a promise, an async generator, or an Observable (declare that type, so that it can be known before the
 * call). An instance that Nest has not made, or a method that is called before the application has started, runs without
 * a transaction, and a warning says so.
 *
 * @throws GlobalConfigurationError for options that are wrong, for a static method, and for what is no method, when the class is defined
 */
export function GlobalTransaction(
  options: GlobalTransactionOptions & ConnectionOptions = {},
): TransactionalMethodDecorator {
  return (target, key, descriptor) => {
    const { connectionName, ...own } = options;
    checkGlobalTransactionOptions(own, placeOf('@GlobalTransaction', target, key, descriptor));
    putStandIn(key, descriptor);
    const interceptor = beginningInterceptor(connectionName);
    mark(GLOBAL_TRANSACTION, own, connectionName, interceptor)(target, key, descriptor);
  };
}

/**
 * The handler joins the transaction of its caller, whatever the transport: HTTP, Kafka, TCP, NATS, RabbitMQ, gRPC.
 * Its work is a savepoint of its own, enlisted before it answers. For handlers of controllers.
 *
 * @param propagation what it does with a transaction, and without; default `REQUIRED`
 * @throws GlobalConfigurationError for another word, for a static method, and for what is no method, when the class is defined
 */
export function JoinGlobalTransaction(
  propagation: Propagation = 'REQUIRED',
  { connectionName }: ConnectionOptions = {},
): MethodDecorator {
  return (target, key, descriptor) => {
    checkPropagation(propagation, placeOf('@JoinGlobalTransaction', target, key, descriptor));
    const interceptor = joiningInterceptor(connectionName);
    mark(JOIN_GLOBAL_TRANSACTION, { propagation }, connectionName, interceptor)(target, key, descriptor);
  };
}

/** Where a decorator stands, for errors. @throws GlobalConfigurationError for a static method, and what is no method */
function placeOf(
  decorator: string,
  target: object,
  key: string | symbol,
  descriptor: PropertyDescriptor | undefined,
): string {
  if (typeof descriptor?.value !== 'function') {
    const owner = typeof target === 'function' ? target.name : target.constructor.name;
    const place = [owner, ...((key as unknown) === undefined ? [] : [String(key)])].join('.');
    throw new GlobalConfigurationError(
      `${decorator} on ${place}: it is for methods; this is a getter, a property or a class`,
    );
  }
  if (typeof target !== 'function') return `${decorator} on ${target.constructor.name}.${String(key)}`;
  throw new GlobalConfigurationError(
    `${decorator} on ${target.name}.${String(key)}: the method is static, so no application gives it transactions; make it ` +
      'a method of a provider',
  );
}

function mark(
  what: symbol,
  options: GlobalTransactionOptions,
  connectionName: string | undefined,
  interceptor: Type<NestInterceptor>,
): MethodDecorator {
  return applyDecorators(
    SetMetadata(what, options),
    ...(connectionName === undefined ? [] : [SetMetadata(CONNECTION_NAME, connectionName)]),
    UseInterceptors(interceptor),
  );
}
