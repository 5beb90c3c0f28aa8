import { CONTEXT_HEADER } from '../context-header.js';
import { GlobalConfigurationError } from '../errors.js';
import type { GlobalTransactions } from '../global-transactions.js';
import type { OutgoingCall } from '../outgoing-call.js';
import { callOf, isUnderWay } from './calls.js';
import { kindOf } from './fetch.js';

interface Headers {
  get(name: string): unknown;
  concat(others: Readonly<Record<string, string>>): Headers;
}

interface Config {
  baseURL?: string | undefined;
  url?: string | undefined;
  headers: Headers;
  adapter?: unknown;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  config: unknown;
}

/** What axios sends a request with, when all interceptors and transformations have run. */
type Adapter = (config: Config) => Promise<Answer>;

interface Plain {
  readonly defaults: object;
  request(config: object): Promise<Answer>;
}

/** An axios instance, such as `HttpService.axiosRef` of Nest's HttpModule. */
export interface AxiosLike {
  readonly interceptors: {
    readonly request: {
      /** takes a function from a configuration to a configuration; `never`, so that the types of every version fit */
      use(onFulfilled: never, onRejected: undefined, options: { readonly synchronous: boolean }): number;
      eject(id: number): void;
    };
  };
}

/** The participants of this process whose transactions the calls of an instance join, and what takes them off. */
const joined = new WeakMap<object, { readonly modules: Set<GlobalTransactions>; readonly leave: () => void }>();

/** What an adapter of ours sends with: configurations are used again, by whoever repeats a request. */
const originals = new WeakMap<object, unknown>();

/**
 * Lets the calls of an axios instance join; see `joinFetch`. `ConcordatModule` of `@concordat/nestjs` does it for every
 * `HttpService`, and for instances that are properties of providers and controllers; others of your own need it once.
 *
 * Each attempt that is sent is a call of its own, taken at the adapter: interceptors may change answers and errors, send
 * again, or send nothing.
 *
 * @returns undoes it
 * @throws GlobalConfigurationError for what is no instance made by axios
 */
export function joinAxios(axios: AxiosLike, transactions: GlobalTransactions): () => void {
  let shared = joined.get(axios);
  if (!shared) {
    const modules = new Set<GlobalTransactions>();
    shared = { modules, leave: intercept(axios, modules) };
    joined.set(axios, shared);
  }
  const { modules, leave } = shared;
  modules.add(transactions);
  return () => {
    if (!modules.delete(transactions) || modules.size > 0) return;
    joined.delete(axios);
    leave();
  };
}

/** Requests that are made inside a transaction get an adapter of ours; which host they reach is seen when it sends. */
function intercept(axios: AxiosLike, modules: ReadonlySet<GlobalTransactions>): () => void {
  const byName = senderByName(axios);
  const { request } = axios.interceptors;
  const put = (config: Config): Config => {
    if (![...modules].some((transactions) => transactions.currentScope())) return config;
    const { adapter } = config;
    const original = isObject(adapter) && originals.has(adapter) ? originals.get(adapter) : adapter;
    const send = typeof original === 'function' ? (original as Adapter) : byName(original);
    config.adapter = joining(send, modules);
    originals.set(config.adapter as Adapter, original);
    return config;
  };
  // synchronous, so that it does not put off the interceptors of the user
  const id = request.use(put as never, undefined, { synchronous: true });
  return () => request.eject(id);
}

function joining(send: Adapter, modules: ReadonlySet<GlobalTransactions>): Adapter {
  return async (config) => {
    const host = hostOf(config);
    if (host === undefined || isUnderWay(modules, config.headers.get(CONTEXT_HEADER))) return send(config);
    const call = callOf(modules, host);
    return call ? exchange(call, config, send) : send(config);
  };
}

async function exchange(call: OutgoingCall, config: Config, send: Adapter): Promise<Answer> {
  const ready = call.ready(true);
  if (ready) await ready;
  let answer: Answer;
  try {
    answer = await send({ ...config, headers: config.headers.concat(call.offeringHeaders), ...notRedirected(config) });
  } catch (error) {
    restore(error, config);
    const { response } = (error ?? {}) as { response?: Answer };
    if (response) report(call, response);
    else call.failed(error);
    throw error;
  }
  restore(answer, config);
  report(call, answer);
  return answer;
}

function report(call: OutgoingCall, { status, headers }: Answer): void {
  const values = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const valueOf = (name: string): string | undefined => {
    const value = values.get(name);
    return typeof value === 'string' ? value : undefined;
  };
  call.answered({ kind: kindOf(status), valueOf });
}

/** For the adapters of Node.js, and for `fetch`. */
function notRedirected(config: Config): object {
  const { fetchOptions } = config as { readonly fetchOptions?: object };
  return { maxRedirects: 0, fetchOptions: { ...fetchOptions, redirect: 'manual' } };
}

/** What the caller gets to see is its own request, without the context: it may send it again, at any time. */
function restore(outcome: unknown, config: Config): void {
  if (!isObject(outcome)) return;
  if ('config' in outcome) outcome.config = config;
  if ('response' in outcome) restore(outcome.response, config);
}

/**
 * How axios sends by the name of an adapter, or a list of names. Only its static object tells them, which need not be the
 * one of the instance; so a plain instance of the same axios sends what the instance has made ready.
 */
function senderByName(axios: AxiosLike): (adapter: unknown) => Adapter {
  let plain: Plain | undefined;
  return (adapter) => {
    const instance = (plain ??= plainInstance(axios));
    return async (config) => {
      try {
        const answer = await instance.request({ ...config, adapter, transformRequest: [], transformResponse: [] });
        restore(answer, config);
        return answer;
      } catch (error) {
        restore(error, config);
        throw error;
      }
    };
  };
}

function plainInstance(axios: AxiosLike): Plain {
  const { create } = axios as { readonly create?: unknown };
  if (typeof create !== 'function') {
    throw new GlobalConfigurationError(
      'joinAxios was given an instance that axios.create() has not made; make it so, or give it an adapter that is a function',
    );
  }
  const plain = (create as () => Plain)();
  // all is in the configuration already; a default would put back what the user has taken out
  for (const name of Object.keys(plain.defaults)) Reflect.deleteProperty(plain.defaults, name);
  return plain;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function hostOf({ url = '', baseURL }: Config): string | undefined {
  return URL.canParse(url, baseURL) ? new URL(url, baseURL).host : undefined;
}
