import { ClientOptionError } from '../errors/errors.js';
import type { PayloadCodec } from '../codec/payload-codec.js';
import { authorizationOf, type Token } from './token.js';
import { platformClock, type ClientClock } from './clock.js';
import { Coordinators } from './coordinators.js';
import { DEFAULT_RETRY, type RetryOptions, type RetrySettings } from './retry.js';

/** Headers by name; undefined ones are left out. */
export type HeaderRecord = Readonly<Record<string, string | undefined>>;

export interface ClientOptions {
  /** URLs of the coordinators, `http://host:port`; the first one is asked first, then the one that answered last */
  readonly coordinators: readonly string[];
  /** how long a call may take, repetitions included, beside its `waitMs`. Default 60,000; `CALL_TIMEOUT` after it */
  readonly timeoutMs?: number;
  /**
   * how long one request may take, beside its `waitMs`, before another coordinator is asked. Default 10,000, and where a
   * repetition has no further effect at most a third of `timeoutMs`, so that one that is silent does not take all of it
   */
  readonly attemptTimeoutMs?: number;
  readonly retry?: RetryOptions;
  /**
   * shows the coordinators who calls: an API token or a JWT, sent as `Authorization: Bearer`. A function is asked anew for
   * each request, and keeps its token until shortly before its end by itself
   */
  readonly token?: Token | undefined;
  /**
   * encode payloads before they are sent, and decode payloads and results that are answered; the first one encodes, all
   * decode. The participants need the same. Default: none
   */
  readonly payloadCodecs?: readonly PayloadCodec[] | undefined;
  /** headers of every request, asked anew for each, such as `traceparent` */
  readonly headers?: HeaderRecord | (() => HeaderRecord | Promise<HeaderRecord>);
  /** default: the platform's `fetch` */
  readonly fetch?: typeof globalThis.fetch;
  /** default: `performance.now` and `setTimeout` */
  readonly clock?: ClientClock;
  /** a number in [0, 1), for the spread of pauses; default `Math.random` */
  readonly random?: () => number;
}

/** What every call takes beside its own arguments. */
export interface CallOptions {
  /** ends the call; it throws the signal's reason. What was sent may take effect all the same */
  readonly signal?: AbortSignal | undefined;
  /** instead of the client's */
  readonly timeoutMs?: number | undefined;
  /** instead of the client's */
  readonly attemptTimeoutMs?: number | undefined;
  /** beside the client's; wins over it */
  readonly headers?: HeaderRecord | undefined;
}

export interface Settings {
  readonly coordinators: Coordinators;
  readonly timeoutMs: number;
  /** undefined: the default */
  readonly attemptTimeoutMs: number | undefined;
  readonly retry: RetrySettings;
  readonly headers: () => HeaderRecord | Promise<HeaderRecord>;
  /** the value of the header `authorization`; undefined: none */
  readonly authorization: () => Promise<string | undefined>;
  readonly fetch: typeof globalThis.fetch;
  readonly clock: ClientClock;
  readonly random: () => number;
}

const MAXIMUM_TIMEOUT_MS = 2 ** 31 - 1;

/** Checks the options and fills in the defaults. @throws ClientOptionError */
export function settingsOf(options: ClientOptions): Settings {
  const { headers = {} } = options;
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  inRange('retry.rounds', retry.rounds, 1, 1_000_000);
  inRange('retry.baseMs', retry.baseMs, 0, MAXIMUM_TIMEOUT_MS);
  inRange('retry.capMs', retry.capMs, retry.baseMs, MAXIMUM_TIMEOUT_MS);
  return {
    coordinators: Coordinators.parse(options.coordinators),
    timeoutMs: timeoutOf('timeoutMs', options.timeoutMs ?? 60_000),
    attemptTimeoutMs:
      options.attemptTimeoutMs === undefined ? undefined : timeoutOf('attemptTimeoutMs', options.attemptTimeoutMs),
    retry,
    headers: typeof headers === 'function' ? headers : () => headers,
    authorization: authorizationOf(options.token),
    // not bound to the options: a browser's fetch must be called on the global object
    fetch: options.fetch ?? ((...parameters) => globalThis.fetch(...parameters)),
    clock: options.clock ?? platformClock,
    random: options.random ?? Math.random,
  };
}

/** @throws ClientOptionError */
export function timeoutOf(name: string, value: number): number {
  return inRange(name, value, 1, MAXIMUM_TIMEOUT_MS);
}

/** @throws ClientOptionError */
export function inRange(name: string, value: number, minimum: number, maximum: number): number {
  if (Number.isFinite(value) && value >= minimum && value <= maximum) return value;
  throw new ClientOptionError(`${name} must be a number from ${minimum} to ${maximum} (found: ${String(value)})`);
}
