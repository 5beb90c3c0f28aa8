import type { ExecutionContext } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import {
  CONTEXT_HEADER,
  INVITATION_HEADER,
  OFFER_HEADER,
  TRACE_HEADER,
  type Delivery,
  type IncomingCall,
} from '@concordat/participant';
import { ProvenReply, carriedWith } from './carriers.js';

type Headers = Readonly<Record<string, string>>;

/** A call as it arrived at a handler, and how its answer carries the proof. */
export interface Incoming {
  readonly call: IncomingCall;
  /** Called before the handler's result or error leaves, with the headers to answer with. */
  answerWith(headers: Headers): void;
  /** The values to answer with, for transports whose headers are part of them. */
  prove(values: readonly unknown[], headers: Headers): readonly unknown[];
}

interface Names {
  readonly own: readonly string[];
  /** only these count, whatever the call says about its destination */
  readonly areComplete: boolean;
}

/** Reads the context of a call from what its transport carries. */
export function incomingOf(context: ExecutionContext, names: Names, adapter: AbstractHttpAdapter): Incoming {
  const type: string = context.getType();
  if (type === 'http') return ofHttp(context, names, adapter);
  const [data, rpcContext, grpcCall] = context.getArgs<[unknown, unknown, unknown]>();
  if (isGrpcMetadata(rpcContext)) return ofGrpc(rpcContext, grpcCall, names);
  if (isKafka(rpcContext)) return ofKafka(rpcContext, names);
  return ofPacket(data, rpcContext, names);
}

const asTheyAre = (values: readonly unknown[]): readonly unknown[] => values;

function audiencesOf({ own, areComplete }: Names, ...addressed: readonly (string | undefined)[]): readonly string[] {
  return areComplete ? own : [...own, ...addressed.filter((one) => one !== undefined && one !== '')].map(String);
}

interface HttpRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly raw?: { readonly rawHeaders?: readonly string[] };
  readonly rawHeaders?: readonly string[];
}

function ofHttp(context: ExecutionContext, names: Names, adapter: AbstractHttpAdapter): Incoming {
  const request = context.switchToHttp().getRequest<HttpRequest>();
  const response = context.switchToHttp().getResponse<unknown>();
  const { host } = request.headers;
  return {
    call: {
      context: rawValues(request),
      audiences: audiencesOf(names, typeof host === 'string' ? host : undefined),
      trace: request.headers[TRACE_HEADER],
      invitation: request.headers[INVITATION_HEADER],
      offer: request.headers[OFFER_HEADER],
    },
    answerWith: (headers) => {
      for (const [name, value] of Object.entries(headers)) adapter.setHeader(response, name, value);
    },
    prove: asTheyAre,
  };
}

/** All values: Node.js joins repeated headers with a comma. */
function rawValues(request: HttpRequest): readonly string[] {
  const raw = request.rawHeaders ?? request.raw?.rawHeaders;
  if (!raw) {
    const value = request.headers[CONTEXT_HEADER];
    return typeof value === 'string' ? [value] : (value ?? []);
  }
  return raw.filter((_, index) => index % 2 === 1 && raw[index - 1]!.toLowerCase() === CONTEXT_HEADER);
}

interface KafkaContextLike {
  getMessage(): { readonly headers?: Readonly<Record<string, unknown>>; readonly offset: string };
  getTopic(): string;
  getPartition(): number;
}

const isKafka = (context: unknown): context is KafkaContextLike =>
  hasMethods(context, 'getMessage', 'getTopic', 'getPartition');

const KAFKA_REPLY_TOPIC = 'kafka_replyTopic';

function ofKafka(context: KafkaContextLike, names: Names): Incoming {
  const { headers = {}, offset } = context.getMessage();
  const topic = context.getTopic();
  const delivery: Delivery = { topic, partition: context.getPartition(), offset };
  const isEvent = headers[KAFKA_REPLY_TOPIC] === undefined;
  return {
    call: {
      context: textValues(headers[CONTEXT_HEADER]),
      audiences: audiencesOf(names, topic),
      delivery,
      isEvent,
      trace: textValues(headers[TRACE_HEADER]),
      invitation: textValues(headers[INVITATION_HEADER]),
    },
    answerWith: () => undefined,
    prove: (values, proof) => (isEvent || Object.keys(proof).length === 0 ? values : proveKafka(values, proof)),
  };
}

/** Nest's serializer for Kafka takes an answer with `value` and `headers` apart. */
function proveKafka(values: readonly unknown[], proof: Headers): readonly unknown[] {
  const answers = values.length === 0 ? [null] : values;
  return answers.map((value) => {
    const isMessage = typeof value === 'object' && value !== null && ('value' in value || 'key' in value);
    if (!isMessage) return { value, headers: { ...proof } };
    const { headers } = value as { headers?: Headers };
    return { ...value, headers: { ...headers, ...proof } };
  });
}

interface GrpcMetadata {
  get(name: string): readonly (string | Buffer)[];
  clone(): GrpcMetadata;
  set(name: string, value: string): void;
  remove(name: string): void;
  getMap(): Readonly<Record<string, unknown>>;
}

const isGrpcMetadata = (context: unknown): context is GrpcMetadata => hasMethods(context, 'get', 'clone', 'getMap');

interface GrpcServerCall {
  sendMetadata(metadata: GrpcMetadata): void;
  getHost?(): string;
}

function ofGrpc(metadata: GrpcMetadata, call: unknown, names: Names): Incoming {
  const serverCall = hasMethods(call, 'sendMetadata') ? (call as unknown as GrpcServerCall) : undefined;
  return {
    call: {
      context: metadata.get(CONTEXT_HEADER).map(String),
      audiences: audiencesOf(names, serverCall?.getHost?.()),
      trace: metadata.get(TRACE_HEADER).map(String),
      invitation: metadata.get(INVITATION_HEADER).map(String),
    },
    answerWith: (headers) => {
      const answer = metadata.clone();
      for (const name of Object.keys(answer.getMap())) answer.remove(name);
      for (const [name, value] of Object.entries(headers)) answer.set(name, value);
      serverCall?.sendMetadata(answer);
    },
    prove: asTheyAre,
  };
}

/** TCP, NATS, RabbitMQ and other packets of Nest. */
function ofPacket(data: unknown, context: unknown, names: Names): Incoming {
  const addressed = hasMethods(context, 'getSubject') ? String(callOf(context, 'getSubject')) : rabbitQueueOf(context);
  const carried = carriedWith(data);
  return {
    call: {
      context: carried?.context ?? packetValues(context, CONTEXT_HEADER),
      audiences: audiencesOf(names, addressed),
      trace: carried?.trace ?? packetValues(context, TRACE_HEADER),
      invitation: carried?.invitation ?? packetValues(context, INVITATION_HEADER),
    },
    answerWith: () => undefined,
    prove: (values, proof) =>
      Object.keys(proof).length === 0
        ? values
        : (values.length === 0 ? [null] : values).map((one) => new ProvenReply(one, proof)),
  };
}

/** Nest 12 hands the packet's metadata to the context; NATS and RabbitMQ have headers of their own. */
function packetValues(context: unknown, name: string): readonly string[] {
  if (hasMethods(context, 'getMetadata')) return textValues(propertyOf(callOf(context, 'getMetadata'), name));
  if (hasMethods(context, 'getHeaders')) {
    const headers = callOf(context, 'getHeaders');
    return textValues(hasMethods(headers, 'get') ? headers.get(name) : propertyOf(headers, name));
  }
  if (!hasMethods(context, 'getMessage')) return [];
  return textValues(propertyOf(propertyOf(propertyOf(callOf(context, 'getMessage'), 'properties'), 'headers'), name));
}

function rabbitQueueOf(context: unknown): string | undefined {
  if (!hasMethods(context, 'getMessage')) return undefined;
  const queue = propertyOf(propertyOf(callOf(context, 'getMessage'), 'fields'), 'routingKey');
  return typeof queue === 'string' ? queue : undefined;
}

function textValues(value: unknown): readonly string[] {
  if (value === undefined || value === null || value === '') return [];
  return (Array.isArray(value) ? value : [value]).map((one: unknown) =>
    Buffer.isBuffer(one) ? one.toString('utf8') : String(one),
  );
}

function propertyOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

type Methods<Name extends string> = Record<Name, (...parameters: unknown[]) => unknown>;

function hasMethods<Name extends string>(value: unknown, ...names: readonly Name[]): value is Methods<Name> {
  return (
    typeof value === 'object' && value !== null && names.every((name) => typeof Reflect.get(value, name) === 'function')
  );
}

function callOf<Name extends string>(value: Methods<Name>, name: Name): unknown {
  return value[name]();
}
