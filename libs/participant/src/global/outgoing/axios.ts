import { errorMessage } from '@concordat/foundation';
import type { GlobalTransactions } from '../global-transactions.js';
import type { OutgoingCall } from '../outgoing-call.js';
import { callOf } from './calls.js';
import { kindOf } from './fetch.js';

interface Config {
  baseURL?: string | undefined;
  url?: string | undefined;
  maxRedirects?: number | undefined;
  headers: { set(name: string, value: string): unknown };
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly config: object;
}

interface Interceptors<Value> {
  use(onFulfilled: (value: Value) => Value, onRejected?: (error: unknown) => unknown): number;
  eject(id: number): void;
}

/** An axios instance, such as `HttpService.axiosRef` of Nest's HttpModule. */
export interface AxiosLike {
  readonly interceptors: { readonly request: Interceptors<Config>; readonly response: Interceptors<Answer> };
}

/** The participants of this process whose transactions the calls of an instance join, and what takes them off. */
const joined = new WeakMap<object, { readonly modules: Set<GlobalTransactions>; readonly leave: () => void }>();

/**
 * Lets the calls of an axios instance join; see `joinFetch`. `ConcordatModule` of `@concordat/nestjs`
 * does it for every `HttpService`; instances of your own need it once.
 *
 * @returns undoes it
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

function intercept(axios: AxiosLike, modules: ReadonlySet<GlobalTransactions>): () => void {
  const calls = new WeakMap<object, OutgoingCall>();
  const request = axios.interceptors.request.use((config) => {
    const host = hostOf(config);
    const call = host === undefined ? undefined : callOf(modules, host);
    if (!call) return config;
    for (const [name, value] of Object.entries(call.offeringHeaders)) config.headers.set(name, value);
    config.maxRedirects = 0;
    calls.set(config, call);
    return config;
  });
  const take = ({ status, headers, config }: Answer): void => {
    const valueOf = (name: string): string | undefined => {
      const value = headers[name];
      return typeof value === 'string' ? value : undefined;
    };
    calls.get(config)?.answered({ kind: kindOf(status), valueOf });
  };
  const response = axios.interceptors.response.use(
    (answer) => {
      take(answer);
      return answer;
    },
    (error: unknown) => {
      const { response: answer, config } = (error ?? {}) as { response?: Answer; config?: object };
      if (answer) take(answer);
      else if (config) calls.get(config)?.failed(error);
      return Promise.reject(error instanceof Error ? error : new Error(errorMessage(error)));
    },
  );
  return () => {
    axios.interceptors.request.eject(request);
    axios.interceptors.response.eject(response);
  };
}

function hostOf({ url = '', baseURL }: Config): string | undefined {
  return URL.canParse(url, baseURL) ? new URL(url, baseURL).host : undefined;
}
