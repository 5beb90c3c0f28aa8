import { SetMetadata, UseInterceptors, applyDecorators } from '@nestjs/common';
import {
  checkGlobalTransactionOptions,
  checkPropagation,
  type GlobalTransactionOptions,
  type Propagation,
} from '@concordat/participant';
import { BeginningInterceptor } from './beginning.interceptor.js';
import { JoiningInterceptor } from './joining.interceptor.js';
import { GLOBAL_TRANSACTION, JOIN_GLOBAL_TRANSACTION } from './metadata.js';

/**
 * The method runs in a global transaction: by default in the current one, otherwise in a new one that commits when the
 * method returns and aborts when it throws. For methods of singleton providers and handlers of controllers that return a
 * promise, an async generator, or an Observable (declare that type, so that it can be known before the call).
 *
 * @throws GlobalConfigurationError for options that are wrong, when the class is defined
 */
export function GlobalTransaction(options: GlobalTransactionOptions = {}): MethodDecorator {
  return (target, key, descriptor) => {
    checkGlobalTransactionOptions(options, `@GlobalTransaction on ${target.constructor.name}.${String(key)}`);
    applyDecorators(SetMetadata(GLOBAL_TRANSACTION, options), UseInterceptors(BeginningInterceptor))(
      target,
      key,
      descriptor,
    );
  };
}

/**
 * The handler joins the transaction of its caller, whatever the transport: HTTP, Kafka, TCP, NATS, RabbitMQ, gRPC.
 * Its work is a savepoint of its own, enlisted before it answers. For handlers of controllers.
 *
 * @param propagation what it does with a transaction, and without; default `REQUIRED`
 * @throws GlobalConfigurationError for another word, when the class is defined
 */
export function JoinGlobalTransaction(propagation: Propagation = 'REQUIRED'): MethodDecorator {
  return (target, key, descriptor) => {
    checkPropagation(propagation, `@JoinGlobalTransaction on ${target.constructor.name}.${String(key)}`);
    applyDecorators(SetMetadata(JOIN_GLOBAL_TRANSACTION, { propagation }), UseInterceptors(JoiningInterceptor))(
      target,
      key,
      descriptor,
    );
  };
}
