import { Inject, Injectable, Optional } from '@nestjs/common';
import { DiscoveryService, ExternalContextCreator, MetadataScanner } from '@nestjs/core';
import { ReplaySubject, distinctUntilChanged, isObservable, lastValueFrom, type Observable } from 'rxjs';
import { describeIssues } from '@concordat/client';
import { codedError, type JsonValue } from '@concordat/foundation';
import type { OperationCall } from '@concordat/commit-protocol';
import {
  BranchRefusedError,
  ParticipantConfigurationError,
  type PostgresContext,
  type ServiceHandlers,
} from '@concordat/participant';
import { DEFAULT_CONNECTION } from './connection-name.js';
import { isMadeAnew, type Wrapper } from './nest-instances.js';
import {
  CONTEXT,
  PARAM_ARGS_METADATA,
  PATTERN_EXTRAS_METADATA,
  PATTERN_METADATA,
  PAYLOAD,
  TRANSPORT_METADATA,
  type MessageHandler,
} from './nest-messages.js';
import {
  CONCORDAT_TRANSPORT,
  OPERATION,
  type OperationExtras,
  type OperationSchema,
} from './transaction-operation.decorator.js';

/** Distinguishes a code for clients from one of Node.js, of the database or of HTTP. */
const CODE = /^[A-Z][A-Z0-9_]*$/;

/** The parameters `@Payload()` and `@Ctx()` for methods of providers, as Nest has them for controllers. */
const PARAMETERS = {
  exchangeKeyForValue(type: number, data: unknown, [payload, context]: readonly unknown[]): unknown {
    if (type === CONTEXT) return context;
    if (type !== PAYLOAD) return null;
    if (typeof data !== 'string' || data === '') return payload;
    return typeof payload === 'object' && payload !== null ? Reflect.get(payload, data) : undefined;
  },
};

/** The handler of an operation failed with an internal error; Nest has logged it. */
export class OperationFailedError extends codedError('HANDLER_FAILED') {}

/** Token of the connection's name; nobody provides it but a module with one. */
const TRANSPORT_CONNECTION = Symbol('TRANSPORT_CONNECTION');

type TransportStatus = 'connected' | 'disconnected';

/**
 * The custom transport strategy through which branches reach Nest's handlers. Connect it with
 * `app.connectMicroservice({ strategy: app.get(ConcordatTransport) }, { inheritAppConfig: true })`.
 *
 * It only calls handlers; the participant runtime consumes, prepares and answers.
 * States: new → listening → closed; work is consumed only while it is listening.
 */
@Injectable()
export class ConcordatTransport implements ServiceHandlers {
  readonly transportId = CONCORDAT_TRANSPORT;
  /** resolves when every handler is registered */
  readonly listening: Promise<void>;
  readonly notListening =
    'the handlers are not registered yet, because the application has not reached onApplicationBootstrap: do not await a ' +
    'transaction in onModuleInit, which would wait for itself; without ConcordatModule, connect ConcordatTransport and ' +
    'call startAllMicroservices()';
  private markListening: () => void = () => undefined;
  private isServing = false;
  private readonly handlers = new Map<string, MessageHandler>();
  private readonly statuses = new ReplaySubject<TransportStatus>(1);

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(ExternalContextCreator) private readonly contextCreator: ExternalContextCreator,
    @Optional() @Inject(TRANSPORT_CONNECTION) private readonly connectionName = DEFAULT_CONNECTION,
  ) {
    this.listening = new Promise((resolve) => (this.markListening = resolve));
  }

  /** as that of any transport of Nest */
  get status(): Observable<TransportStatus> {
    return this.statuses.pipe(distinctUntilChanged());
  }

  listen(callback: (error?: unknown) => void): void {
    try {
      this.serve();
      this.statuses.next('connected');
      callback();
    } catch (error) {
      callback(error);
    }
  }

  /**
   * Registers the operations of providers and controllers; then work is consumed. It needs no connected microservice,
   * but for controllers of request scope.
   */
  serve(): void {
    if (this.isServing) return;
    this.isServing = true;
    this.registerAll();
    this.markListening();
  }

  close(): void {
    this.statuses.next('disconnected');
  }

  on(): void {
    throw new ParticipantConfigurationError('this transport has no events of its own');
  }

  unwrap<T>(): T {
    throw new ParticipantConfigurationError('this transport wraps no client');
  }

  /**
   * Called by Nest for the handlers of controllers. It hands every transport those that name none, too
   * (`@MessagePattern('payments')`): they are no operations.
   *
   * @throws ParticipantConfigurationError for a second handler of an operation
   */
  addHandler(
    pattern: unknown,
    callback: MessageHandler,
    _isEventHandler = false,
    extras: Readonly<Record<PropertyKey, unknown>> = {},
  ): void {
    if (typeof pattern !== 'string' || !(OPERATION in extras)) return;
    if (this.isServing) this.handlers.delete(pattern); // connected late: from now on Nest calls it
    this.register(this.handlers, pattern, callback, extras);
  }

  operations(): readonly string[] {
    return [...this.handlers.keys()].sort();
  }

  /**
   * A contract names its participant, and its clients send the work there.
   *
   * @throws ParticipantConfigurationError when a handler has the contract of another participant
   */
  check(participant: string): void {
    for (const [operation, { extras }] of this.handlers) {
      const { participant: owner = participant } = (extras ?? {}) as OperationExtras;
      if (owner === participant) continue;
      throw new ParticipantConfigurationError(
        `the handler of "${operation}" has the contract of the participant "${owner}", and this participant is ` +
          `"${participant}": clients would send the work there; use a contract made for "${participant}"`,
      );
    }
  }

  async handle({ operation, payload }: OperationCall, context: PostgresContext): Promise<unknown> {
    const handler = this.handlers.get(operation);
    if (!handler) throw new BranchRefusedError('UNKNOWN_OPERATION', `there is no operation "${operation}" here`);
    const { schema } = (handler.extras ?? {}) as OperationExtras;
    const valid = schema ? await validated(schema, payload) : payload;
    try {
      const answer: unknown = await handler(valid, context);
      return isObservable(answer) ? await lastOf(answer) : answer;
    } catch (error) {
      throw asError(error);
    }
  }

  /** @throws ParticipantConfigurationError for an operation that nobody could serve */
  private registerAll(): void {
    for (const wrapper of this.discovery.getProviders()) this.registerMethods(wrapper, this.handlers);
    // those that Nest has registered, because the transport is connected, are left to it
    const ofControllers = new Map<string, MessageHandler>();
    for (const wrapper of this.discovery.getControllers()) this.registerMethods(wrapper, ofControllers);
    for (const [operation, handler] of ofControllers) {
      if (!this.handlers.has(operation)) this.handlers.set(operation, handler);
    }
  }

  private registerMethods(wrapper: Wrapper, handlers: Map<string, MessageHandler>): void {
    const { instance, isNotMetatype, metatype } = wrapper;
    if (isNotMetatype || !metatype || typeof instance !== 'object' || instance === null) return;
    const served = instance as Record<string, (...parameters: unknown[]) => unknown>;
    const prototype = Object.getPrototypeOf(served) as object | null;
    if (!prototype) return;
    for (const name of this.scanner.getAllMethodNames(prototype)) this.registerMethod(wrapper, served, name, handlers);
  }

  private registerMethod(
    wrapper: Wrapper,
    served: Record<string, (...parameters: unknown[]) => unknown>,
    name: string,
    handlers: Map<string, MessageHandler>,
  ): void {
    const method = served[name];
    if (!method || Reflect.getMetadata(TRANSPORT_METADATA, method) !== CONCORDAT_TRANSPORT) return;
    const patterns = Reflect.getMetadata(PATTERN_METADATA, method) as string[];
    const extras = Reflect.getMetadata(PATTERN_EXTRAS_METADATA, method) as Record<string, unknown>;
    if (isMadeAnew(wrapper)) {
      if (patterns.every((pattern) => this.handlers.has(pattern))) return;
      throw new ParticipantConfigurationError(
        `${wrapper.name}.${name} is the handler of an operation, and Nest makes ${wrapper.name} anew for each request: ` +
          'there is no request here. Give it the default scope, and what depends on the request to the method',
      );
    }
    const handler = this.contextCreator.create(
      served,
      method,
      name,
      PARAM_ARGS_METADATA,
      PARAMETERS,
      undefined,
      undefined,
      undefined,
      'rpc',
    );
    for (const pattern of patterns) this.register(handlers, pattern, handler, extras);
  }

  private register(
    handlers: Map<string, MessageHandler>,
    operation: string,
    handler: MessageHandler,
    extras: Readonly<Record<PropertyKey, unknown>>,
  ): void {
    const { connectionName = DEFAULT_CONNECTION } = extras as OperationExtras;
    if (connectionName !== this.connectionName) return; // of another ConcordatModule in the application
    if (handlers.has(operation)) {
      throw new ParticipantConfigurationError(`there are two handlers of the operation "${operation}"`);
    }
    handlers.set(operation, Object.assign(handler, { extras }));
  }
}

async function validated(schema: OperationSchema, payload: JsonValue): Promise<unknown> {
  const result = await schema['~standard'].validate(payload);
  if (result.issues) throw new BranchRefusedError('INVALID_PAYLOAD', describeIssues(result.issues));
  return result.value;
}

async function lastOf(answers: Observable<unknown>): Promise<unknown> {
  const value = await lastValueFrom(answers, { defaultValue: null });
  return isObservable(value) ? lastOf(value) : value;
}

/** Exception filters turn errors into plain objects; one with a `code` is for the client. */
function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') {
    const message = 'message' in error && typeof error.message === 'string' ? error.message : error.code;
    if (CODE.test(error.code)) return new BranchRefusedError(error.code, message);
  }
  return new OperationFailedError('the handler failed', { cause: error });
}
