import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { guarded } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';
import { CONTEXT_HEADER } from '../context-header.js';
import { NotJoinedError } from '../errors.js';
import type { GlobalTransactions } from '../global-transactions.js';

/** Where Node.js tells of each request of `node:http` and `node:https`, and undici of each of its own. */
const HTTP = 'http.client.request.start';
const UNDICI = 'undici:request:create';

const REMEDY =
  'call it by fetch or HttpService, let the client join (joinAxios) or report its calls (transactions.outgoing), call it ' +
  'outside of the transaction (transactions.suspend), or take it off propagateTo';

/** Hosts of which it is told that they get no transaction. A service that calls more is told of the first. */
const MAXIMUM_LEFT_OUT = 100;

/** A request that is about to be sent, as far as it can be seen. */
interface SeenRequest {
  readonly host: string;
  readonly hasContext: boolean;
}

/**
 * Looks at the requests over HTTP/1 that this process sends. One that goes to a host on `propagateTo` inside a global
 * transaction, by a client that carries no context, dooms the transaction with `NOT_JOINED`: the callee would begin a
 * transaction of its own, and commit it whatever becomes of this one.
 *
 * One that goes to another host is no mistake by itself. The log says once for each host that it does not take the
 * transaction along, because a host that was forgotten, or is called by another name, looks the same.
 *
 * Requests whose headers were given to `node:http` as a list are not seen.
 *
 * @returns ends it
 */
export function watchUnjoinedClients(transactions: GlobalTransactions): () => void {
  const { logger } = transactions.ports;
  const leftOut = new Set<string>(transactions.settings.coordinatorHosts);
  const sayLeftOut = (host: string, transactionId: TransactionId): void => {
    if (leftOut.has(host) || leftOut.size >= MAXIMUM_LEFT_OUT) return;
    leftOut.add(host);
    logger.info(
      `a call to ${host} does not take transaction ${transactionId} along, because propagateTo does not have "${host}": ` +
        'what the callee does stays, also after an abort. Add the host if it is a service that takes part',
    );
  };
  const look = (seen: SeenRequest | undefined): void => {
    const scope = transactions.currentScope();
    if (!seen || seen.hasContext || !scope) return;
    if (!transactions.propagatesTo(seen.host)) return sayLeftOut(seen.host, scope.transaction.transactionId);
    const { transaction, isOpen } = scope;
    if (!isOpen && !transaction.isActive) return; // a timer, say, that was started in a method of long ago
    const why = 'by a client that has not joined, so the request carried no context';
    const error = new NotJoinedError(seen.host, why, { remedy: REMEDY });
    transaction.doom({ code: error.code, by: seen.host, message: error.message, cause: error });
  };
  const fail = (error: unknown): void => logger.error('a request could not be looked at', error);
  const guardedHttp = guarded((message: unknown) => look(seenByHttp(message)), fail);
  const guardedUndici = guarded((message: unknown) => look(seenByUndici(message)), fail);
  subscribe(HTTP, guardedHttp);
  subscribe(UNDICI, guardedUndici);
  return () => {
    unsubscribe(HTTP, guardedHttp);
    unsubscribe(UNDICI, guardedUndici);
  };
}

function seenByHttp(message: unknown): SeenRequest | undefined {
  const { request } = message as { readonly request: { getHeader(name: string): unknown } };
  const host = request.getHeader('host');
  if (typeof host !== 'string') return undefined;
  return { host, hasContext: request.getHeader(CONTEXT_HEADER) !== undefined };
}

/** Its headers are a list of names and values, or in older versions a text. */
function seenByUndici(message: unknown): SeenRequest | undefined {
  const { request } = message as { readonly request: { readonly origin?: unknown; readonly headers?: unknown } };
  const origin = String(request.origin);
  if (!URL.canParse(origin)) return undefined;
  const { headers } = request;
  const text = Array.isArray(headers) ? headers.map(String).join('\n') : String(headers);
  return { host: new URL(origin).host, hasContext: text.toLowerCase().includes(CONTEXT_HEADER) };
}
