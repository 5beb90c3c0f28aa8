import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';

/**
 * What handlers of messages carry, by the names of `@nestjs/microservices`. That package is not imported: only services
 * that use its transports have it.
 */
export const PATTERN_METADATA = 'microservices:pattern';
export const PATTERN_EXTRAS_METADATA = 'microservices:pattern_extras';
export const TRANSPORT_METADATA = 'microservices:transport';
const PATTERN_HANDLER_METADATA = 'microservices:handler_type';
const ANSWERS_A_MESSAGE = 1;

/** Where the parameters of a handler are described. */
export const PARAM_ARGS_METADATA = ROUTE_ARGS_METADATA;
/** The type of a parameter. */
export const PAYLOAD = 3;
export const CONTEXT = 6;

/** A handler as Nest hands it to a transport. */
export interface MessageHandler {
  (data: unknown, context?: unknown): Promise<unknown>;
  extras?: Readonly<Record<PropertyKey, unknown>>;
}

/** As `@MessagePattern` with a transport of its own. */
export function markAsHandler(
  method: object,
  pattern: string,
  transport: symbol,
  extras: Readonly<Record<PropertyKey, unknown>>,
): void {
  const before = Reflect.getMetadata(PATTERN_EXTRAS_METADATA, method) as object | undefined;
  Reflect.defineMetadata(PATTERN_METADATA, [pattern], method);
  Reflect.defineMetadata(PATTERN_HANDLER_METADATA, ANSWERS_A_MESSAGE, method);
  Reflect.defineMetadata(TRANSPORT_METADATA, transport, method);
  Reflect.defineMetadata(PATTERN_EXTRAS_METADATA, { ...before, ...extras }, method);
}

/** As `@Payload()` at the first parameter and `@Ctx()` at the second. */
export function markPayloadAndContext(type: object, method: string | symbol): void {
  const parameter = (index: number): object => ({ index, data: undefined, pipes: [] });
  const described = { [`${PAYLOAD}:0`]: parameter(0), [`${CONTEXT}:1`]: parameter(1) };
  Reflect.defineMetadata(PARAM_ARGS_METADATA, described, type, method);
}
