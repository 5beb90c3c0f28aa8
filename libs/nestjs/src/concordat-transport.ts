import { Inject, Injectable, Optional } from '@nestjs/common';
import { DiscoveryService, ExternalContextCreator, MetadataScanner } from '@nestjs/core';
import { Server, type CustomTransportStrategy, type MessageHandler } from '@nestjs/microservices';
import {
  PARAM_ARGS_METADATA,
  PATTERN_EXTRAS_METADATA,
  PATTERN_METADATA,
  TRANSPORT_METADATA,
} from '@nestjs/microservices/constants.js';
import { RpcParamtype } from '@nestjs/microservices/enums/rpc-paramtype.enum.js';
import { isObservable, lastValueFrom, type Observable } from 'rxjs';
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
import { CONCORDAT_TRANSPORT, type OperationExtras, type OperationSchema } from './transaction-operation.decorator.js';

/** Distinguishes a code for clients from one of Node.js, of the database or of HTTP. */
const CODE = /^[A-Z][A-Z0-9_]*$/;

/** The parameters `@Payload()` and `@Ctx()` for methods of providers, as Nest has them for controllers. */
const PARAMETERS = {
  exchangeKeyForValue(type: RpcParamtype, data: unknown, [payload, context]: readonly unknown[]): unknown {
    if (type === RpcParamtype.CONTEXT) return context;
    if (type !== RpcParamtype.PAYLOAD) return null;
    if (typeof data !== 'string' || data === '') return payload;
    return typeof payload === 'object' && payload !== null ? Reflect.get(payload, data) : undefined;
  },
};

/** The handler of an operation failed with an internal error; Nest has logged it. */
export class OperationFailedError extends codedError('HANDLER_FAILED') {}

/** Token of the connection's name; nobody provides it but a module with one. */
const TRANSPORT_CONNECTION = Symbol('TRANSPORT_CONNECTION');

type TransportEvents = Record<string, never>;
type TransportStatus = 'connected' | 'disconnected';

/**
 * The custom transport strategy through which branches reach Nest's handlers. Connect it with
 * `app.connectMicroservice({ strategy: app.get(ConcordatTransport) }, { inheritAppConfig: true })`.
 *
 * It only calls handlers; the participant runtime consumes, prepares and answers.
 * States: new → listening → closed; work is consumed only while it is listening.
 */
@Injectable()
export class ConcordatTransport
  extends Server<TransportEvents, TransportStatus>
  implements CustomTransportStrategy, ServiceHandlers
{
  override readonly transportId = CONCORDAT_TRANSPORT;
  /** resolves when every handler is registered */
  readonly listening: Promise<void>;
  readonly notListening =
    'the handlers are not registered yet: connect the application to ConcordatTransport and call startAllMicroservices()';
  private markListening: () => void = () => undefined;
  private isServing = false;

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(ExternalContextCreator) private readonly contextCreator: ExternalContextCreator,
    @Optional() @Inject(TRANSPORT_CONNECTION) private readonly connectionName = DEFAULT_CONNECTION,
  ) {
    super();
    this.listening = new Promise((resolve) => (this.markListening = resolve));
  }

  listen(callback: (error?: unknown) => void): void {
    try {
      this.serve();
      this._status$.next('connected');
      callback();
    } catch (error) {
      callback(error);
    }
  }

  /**
   * Registers the operations of providers; then work is consumed. Also without a connected microservice; those of
   * controllers need one.
   */
  serve(): void {
    if (this.isServing) return;
    this.isServing = true;
    this.registerProviders();
    this.markListening();
  }

  close(): void {
    this._status$.next('disconnected');
  }

  on(): void {
    throw new ParticipantConfigurationError('this transport has no events of its own');
  }

  unwrap<T>(): T {
    throw new ParticipantConfigurationError('this transport wraps no client');
  }

  override addHandler(
    pattern: unknown,
    callback: MessageHandler,
    isEventHandler = false,
    extras: Record<string, unknown> = {},
  ): void {
    const { connectionName = DEFAULT_CONNECTION } = extras as OperationExtras;
    if (connectionName !== this.connectionName) return; // of another ConcordatModule in the application
    if (typeof pattern === 'string' && this.messageHandlers.has(pattern)) {
      throw new ParticipantConfigurationError(`there are two handlers of the operation "${pattern}"`);
    }
    super.addHandler(pattern, callback, isEventHandler, extras);
  }

  operations(): readonly string[] {
    return [...this.messageHandlers.keys()].sort();
  }

  /**
   * A contract names its participant, and its clients send the work there.
   *
   * @throws ParticipantConfigurationError when a handler has the contract of another participant
   */
  check(participant: string): void {
    for (const [operation, { extras }] of this.messageHandlers) {
      const { participant: owner = participant } = (extras ?? {}) as OperationExtras;
      if (owner === participant) continue;
      throw new ParticipantConfigurationError(
        `the handler of "${operation}" has the contract of the participant "${owner}", and this participant is ` +
          `"${participant}": clients would send the work there; use a contract made for "${participant}"`,
      );
    }
  }

  async handle({ operation, payload }: OperationCall, context: PostgresContext): Promise<unknown> {
    const handler = this.messageHandlers.get(operation);
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

  /** Nest registers the handlers of controllers; this registers those of plain providers. */
  private registerProviders(): void {
    for (const { instance, isNotMetatype, metatype } of this.discovery.getProviders()) {
      if (isNotMetatype || !metatype || typeof instance !== 'object' || instance === null) continue;
      const provider = instance as Record<string, (...parameters: unknown[]) => unknown>;
      const prototype = Object.getPrototypeOf(provider) as object | null;
      if (!prototype) continue;
      for (const name of this.scanner.getAllMethodNames(prototype)) this.registerMethod(provider, name);
    }
  }

  private registerMethod(provider: Record<string, (...parameters: unknown[]) => unknown>, name: string): void {
    const method = provider[name];
    if (!method || Reflect.getMetadata(TRANSPORT_METADATA, method) !== CONCORDAT_TRANSPORT) return;
    const patterns = Reflect.getMetadata(PATTERN_METADATA, method) as string[];
    const extras = Reflect.getMetadata(PATTERN_EXTRAS_METADATA, method) as Record<string, unknown>;
    const handler = this.contextCreator.create(
      provider,
      method,
      name,
      PARAM_ARGS_METADATA,
      PARAMETERS,
      undefined,
      undefined,
      undefined,
      'rpc',
    );
    for (const pattern of patterns) this.addHandler(pattern, handler, false, extras);
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
