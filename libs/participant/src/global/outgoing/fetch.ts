import { CONTEXT_HEADER } from '../context-header.js';
import type { GlobalTransactions } from '../global-transactions.js';
import { callOf, isUnderWay } from './calls.js';

type Fetch = typeof globalThis.fetch;

/** What all copies of this package in a process share, so that the wrapper is put on and taken off once. */
interface SharedFetch {
  readonly version: 1;
  readonly modules: Set<GlobalTransactions>;
  readonly original: Fetch;
  readonly wrapper: Fetch;
}

const SHARED = Symbol.for('concordat.fetch');
const holder = globalThis as unknown as { [SHARED]?: SharedFetch };

/**
 * Wraps `globalThis.fetch` while the returned function has not been called: a call to a destination on `propagateTo`
 * inside a global transaction carries its context, and needs the proof. No code of the application changes. Redirects of
 * such calls are not followed: the context is for nobody else.
 */
export function joinFetch(transactions: GlobalTransactions): () => void {
  const shared = (holder[SHARED] ??= wrap());
  shared.modules.add(transactions);
  return () => {
    shared.modules.delete(transactions);
    if (shared.modules.size > 0) return;
    delete holder[SHARED];
    // Who has wrapped it since keeps what he has; then ours passes everything on.
    if (globalThis.fetch === shared.wrapper) globalThis.fetch = shared.original;
  };
}

function wrap(): SharedFetch {
  const original = globalThis.fetch;
  const modules = new Set<GlobalTransactions>();
  const wrapper: Fetch = async (input, init) => {
    const host = hostOf(input);
    if (host === undefined || ![...modules].some((one) => one.propagatesTo(host))) return original(input, init);
    // before the call begins: what is no header is an error of the caller, and nothing was sent
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    const redirect = init?.redirect === 'error' ? 'error' : 'manual';
    const isCarried = isUnderWay(modules, headers.get(CONTEXT_HEADER) ?? undefined);
    const call = isCarried ? undefined : callOf(modules, host);
    if (!call) return original(input, { ...init, redirect });
    const ready = call.ready(true);
    if (ready) await ready;
    for (const [name, value] of Object.entries(call.offeringHeaders)) headers.set(name, value);
    let response: Response;
    try {
      response = await original(input, { ...init, headers, redirect });
    } catch (error) {
      call.failed(error);
      throw error;
    }
    call.answered({ kind: kindOf(response.status), valueOf: (name) => response.headers.get(name) ?? undefined });
    return response;
  };
  globalThis.fetch = wrapper;
  return { version: 1, modules, original, wrapper };
}

function hostOf(input: Parameters<Fetch>[0]): string | undefined {
  const url = input instanceof Request ? input.url : String(input);
  return URL.canParse(url) ? new URL(url).host : undefined;
}

/** By the status: what it did, as far as its caller can see. */
export function kindOf(status: number): 'success' | 'refused' | 'failed' {
  if (status < 400) return 'success';
  return status < 500 ? 'refused' : 'failed';
}
