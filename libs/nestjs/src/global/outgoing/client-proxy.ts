import type { AsyncLocalStorage } from 'node:async_hooks';
import { Observable, ReplaySubject, from, isObservable, mergeMap, type Observer } from 'rxjs';
import {
  BRANCH_HEADER,
  DOOMED_HEADER,
  callOf,
  messageOf,
  reportPlace,
  type GlobalTransactions,
  type OutgoingCall,
  type OutgoingMessage,
} from '@concordat/participant';
import { NESTJS_PACKAGE } from '../../one-copy.js';
import { PACKET_METADATA, ProvenReply } from '../carriers.js';

/** What the packets of Nest's clients are made and read by. */
interface Serializer {
  serialize(value: unknown, options?: unknown): unknown;
}
interface Deserializer {
  deserialize(value: unknown, options?: unknown): unknown;
}

/** The used members of Nest's `ClientProxy`, some of them protected. */
interface Proxy {
  send(pattern: unknown, data: unknown): Observable<unknown>;
  emit(pattern: unknown, data: unknown): Observable<unknown>;
  serializer: Serializer;
  deserializer: Deserializer;
  normalizePattern(pattern: unknown): string;
  readonly host?: unknown;
  readonly port?: unknown;
  readonly queue?: unknown;
  readonly subscribeToResponseOf?: unknown;
}

/** A client of Nest's microservices; undefined for anything else. */
export function clientProxyOf(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const names = ['send', 'emit', 'connect', 'normalizePattern'];
  const isProxy = names.every((name) => typeof Reflect.get(value, name) === 'function');
  return isProxy && 'serializer' in value && 'deserializer' in value ? value : undefined;
}

/** The callee has answered with an error, as against a call that got lost. */
class CalleeError {
  constructor(readonly error: unknown) {}
}

/** The participants of this process whose transactions the requests of a client join. */
const joined = new WeakMap<object, Set<GlobalTransactions>>();

/** The call whose request is being made; subscriptions inside see it, whenever they happen. */
const sending = NESTJS_PACKAGE.sending as AsyncLocalStorage<Pick<OutgoingCall, 'headers'> | undefined>;

/**
 * Lets the requests of a Nest client (Kafka, TCP, NATS, RabbitMQ, Redis, MQTT) join, each inside the transaction in
 * which it is subscribed to. Its serializers keep their work and carry the context; replies bring the proof. Events
 * (`emit`) join over Kafka, to a topic whose `consumers` are known; others are sent without: nobody could prove that
 * their work belongs to the transaction.
 *
 * The destination is `host:port` over TCP, the queue over RabbitMQ, otherwise the topic, subject or pattern.
 * Done by the module for every client that is a provider.
 *
 * @returns undoes it
 */
export function joinClientProxy(client: object, transactions: GlobalTransactions): () => void {
  const known = joined.get(client);
  const modules = known ?? new Set<GlobalTransactions>();
  modules.add(transactions);
  if (!known) {
    joined.set(client, modules);
    wrapClient(client as Proxy, modules);
  }
  return () => void modules.delete(transactions);
}

/** The answer of the broker says where the event lies, which is what its consumers prove. */
function emitJoining(proxy: Proxy, modules: ReadonlySet<GlobalTransactions>): void {
  const emit = proxy.emit.bind(proxy);
  proxy.emit = (pattern, data) => {
    const topic = proxy.normalizePattern(pattern);
    const message = messageOf(modules, topic);
    const placed = whenReady(message?.ready(), () => begun(message, () => emit(pattern, data))); // hot: on its way now
    if (message) {
      placed.subscribe({
        next: (places) => reportPlace(message, topic, places),
        error: (error: unknown) => message.failed(error),
        complete: () => message.failed(new Error('the client gave no answer')),
      });
    }
    return placed;
  };
}

function wrapClient(proxy: Proxy, modules: ReadonlySet<GlobalTransactions>): void {
  const isKafka = typeof proxy.subscribeToResponseOf === 'function';
  proxy.serializer = carrying(proxy.serializer, isKafka);
  proxy.deserializer = proving(proxy.deserializer, isKafka);
  if (isKafka) emitJoining(proxy, modules);
  const send = proxy.send.bind(proxy);
  proxy.send = (pattern, data) =>
    new Observable((subscriber) => {
      const call = callOf(modules, destinationOf(proxy, pattern, isKafka));
      const back = wayBack(modules);
      // Replies arrive in the context of a socket; code that handles them is still in the transaction.
      const inside: Observer<unknown> = {
        next: (value) => back(() => subscriber.next(value)),
        error: (error) => back(() => subscriber.error(error)),
        complete: () => back(() => subscriber.complete()),
      };
      const request = (): Observable<unknown> => {
        const answers = begun(call, () => send(pattern, data));
        return call ? follow(answers, call) : withoutCall(answers);
      };
      const ready = call?.ready(false);
      if (!ready) return sending.run(call, () => request().subscribe(inside));
      const later = from(ready).pipe(mergeMap(request));
      const subscription = sending.run(call, () => later.subscribe(inside));
      return () => {
        subscription.unsubscribe();
        call?.failed(new Error('the caller stopped waiting'));
      };
    });
}

/** What is made of a request once it may be sent. Hot: it does not wait for a subscriber. */
function whenReady<T>(ready: Promise<void> | undefined, request: () => Observable<T>): Observable<T> {
  if (!ready) return request();
  const replay = new ReplaySubject<T>();
  from(ready).pipe(mergeMap(request)).subscribe(replay);
  return replay.asObservable();
}

/** What the client makes of a request. What it throws at once is the end of the call, or of the message. */
function begun<T>(call: OutgoingCall | OutgoingMessage | undefined, request: () => T): T {
  try {
    return sending.run(call, request);
  } catch (error) {
    call?.failed(error);
    throw error;
  }
}

/** Runs work inside the methods that run now. */
function wayBack(modules: ReadonlySet<GlobalTransactions>): (work: () => void) => void {
  return [...modules].reduce<(work: () => void) => void>(
    (within, transactions) => {
      const scope = transactions.currentScope();
      return (work) => within(() => transactions.runIn(scope, work));
    },
    (work) => work(),
  );
}

function destinationOf(proxy: Proxy, pattern: unknown, isKafka: boolean): string {
  const { host, port, queue } = proxy;
  if (!isKafka && typeof host === 'string' && (typeof port === 'number' || typeof port === 'string'))
    return `${host}:${port}`;
  return typeof queue === 'string' && queue !== '' ? queue : proxy.normalizePattern(pattern);
}

/** Values without their proofs, which the call takes. */
function follow(answers: Observable<unknown>, call: OutgoingCall): Observable<unknown> {
  return new Observable((subscriber) => {
    const subscription = answers.subscribe({
      next: (value) => {
        const reply = ProvenReply.read(value);
        try {
          if (reply) call.answered({ kind: 'success', valueOf: (name) => reply.proof[name] });
          else call.answered({ kind: 'success', valueOf: () => undefined });
        } catch (error) {
          return subscriber.error(error);
        }
        subscriber.next(reply ? reply.value : value);
      },
      error: (error: unknown) => {
        if (!(error instanceof CalleeError)) call.failed(error);
        else call.answered({ kind: 'refused', valueOf: () => undefined });
        subscriber.error(error instanceof CalleeError ? error.error : error);
      },
      complete: () => {
        try {
          call.answered({ kind: 'success', valueOf: () => undefined });
        } catch (error) {
          return subscriber.error(error);
        }
        subscriber.complete();
      },
    });
    return () => {
      subscription.unsubscribe();
      call.failed(new Error('the caller stopped waiting'));
    };
  });
}

function withoutCall(answers: Observable<unknown>): Observable<unknown> {
  return new Observable((subscriber) =>
    answers.subscribe({
      next: (value) => subscriber.next(ProvenReply.read(value)?.value ?? value),
      error: (error: unknown) => subscriber.error(error instanceof CalleeError ? error.error : error),
      complete: () => subscriber.complete(),
    }),
  );
}

function carrying(inner: Serializer, isKafka: boolean): Serializer {
  return {
    serialize: (value, options) => {
      const call = sending.getStore();
      if (!call) return inner.serialize(value, options);
      if (!isKafka) return inner.serialize(withMetadata(value, call.headers), options);
      const message = inner.serialize(value, options);
      return message instanceof Promise
        ? message.then((one) => withHeaders(one, call.headers))
        : withHeaders(message, call.headers);
    },
  };
}

function withMetadata(packet: unknown, headers: Readonly<Record<string, string>>): unknown {
  if (typeof packet !== 'object' || packet === null) return packet;
  const metadata = Reflect.get(packet, PACKET_METADATA) as unknown;
  return Object.assign(packet, { [PACKET_METADATA]: { ...(metadata as object | undefined), ...headers } });
}

function withHeaders(message: unknown, headers: Readonly<Record<string, string>>): unknown {
  if (typeof message !== 'object' || message === null) return message;
  const own = Reflect.get(message, 'headers') as object | undefined;
  return Object.assign(message, { headers: { ...own, ...headers } });
}

interface Reply {
  readonly err?: unknown;
  readonly response?: unknown;
}

function proving(inner: Deserializer, isKafka: boolean): Deserializer {
  return {
    deserialize: async (value, options) => {
      const packet = await inner.deserialize(value, options);
      if (typeof packet !== 'object' || packet === null || isObservable(packet)) return packet;
      const { err, response } = packet as Reply;
      if (err !== undefined && err !== null) return { ...packet, err: new CalleeError(err) };
      const proof = isKafka ? proofOf(value) : undefined;
      return proof ? { ...packet, response: new ProvenReply(response, proof) } : packet;
    },
  };
}

function proofOf(message: unknown): Record<string, string> | undefined {
  const headers =
    typeof message === 'object' && message !== null ? (Reflect.get(message, 'headers') as unknown) : undefined;
  if (typeof headers !== 'object' || headers === null) return undefined;
  const proof: Record<string, string> = {};
  for (const name of [BRANCH_HEADER, DOOMED_HEADER]) {
    const value = Reflect.get(headers, name) as unknown;
    if (typeof value === 'string' || Buffer.isBuffer(value)) proof[name] = value.toString();
  }
  return Object.keys(proof).length > 0 ? proof : undefined;
}
