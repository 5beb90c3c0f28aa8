import { createHmac, randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { guarded } from '@concordat/foundation';
import type { Attempt } from './attempts.js';

const HEADER = 'concordat-transaction';
/** How a service says that the work of a call will not be committed. */
const DOOMED = 'concordat-doomed';
const MINUTE_MS = 60_000;

interface Context {
  readonly transactionId: string;
  readonly deadline: number;
  readonly audience: string;
}

/** The context of a call between services, as the contract says, independently of their code. */
function contextOf({ transactionId, deadline, audience }: Context, key: string): string {
  const signed = `v1.${transactionId}.${deadline}.${Buffer.from(audience).toString('base64url')}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

/**
 * Calls of the service `inventory` of the shop in the name of a transaction to which nobody has called it.
 *
 * @param ended a transaction that has ended
 * @param key of the contexts: an intruder can have recorded one that was signed with it
 */
export function forgedContexts(url: string, ended: string, key: string): Attempt[] {
  const { host } = new URL(url);
  const deadline = Date.now() + MINUTE_MS;
  const right = { transactionId: ended, deadline, audience: host };
  const attempt = (what: string, expected: RegExp, ...values: readonly string[]): Attempt => ({
    what: `reserves goods, with ${what}`,
    expected,
    run: () => reserve(url, values),
  });
  const other = contextOf({ ...right, transactionId: randomUUID() }, key);
  const signature = contextOf(right, key).split('.').at(-1)!;
  return [
    attempt('no context', /^500$/),
    attempt('a context by another key', /INVALID_CONTEXT/, contextOf(right, 'the key of the intruder')),
    attempt('the signature of another context', /INVALID_CONTEXT/, other.replace(/[^.]+$/, signature)),
    attempt('a context for payments', /INVALID_CONTEXT/, contextOf({ ...right, audience: 'payments' }, key)),
    attempt('a context twice', /INVALID_CONTEXT/, contextOf(right, key), contextOf(right, key)),
    attempt(
      'a context whose deadline has passed',
      /CONTEXT_EXPIRED/,
      contextOf({ ...right, deadline: deadline - 2 * MINUTE_MS }, key),
    ),
    attempt('the recorded context of a transaction that has ended', /TRANSACTION_/, contextOf(right, key)),
  ];
}

/** A call with a context that was signed with a key which is retired. */
export function recordedContext(url: string, key: string): Attempt {
  const context = { transactionId: randomUUID(), deadline: Date.now() + MINUTE_MS, audience: new URL(url).host };
  return {
    what: 'reserves goods, with a context by the old key',
    expected: /INVALID_CONTEXT/,
    run: () => reserve(url, [contextOf(context, key)]),
  };
}

/** The status, and what the answer says of the transaction. Headers may be sent twice, which `fetch` would not do. */
function reserve(url: string, contexts: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/reservations`, { method: 'POST', headers: { 'content-type': 'application/json' } });
    if (contexts.length > 0) sent.setHeader(HEADER, [...contexts]);
    sent.on('error', guarded(reject, reject));
    sent.on(
      'response',
      guarded((response) => {
        response.resume();
        const doomed = response.headers[DOOMED];
        resolve([response.statusCode, doomed].filter((part) => part !== undefined).join(' '));
      }, reject),
    );
    sent.end(JSON.stringify({ orderId: randomUUID(), lines: [{ sku: 'grinder', quantity: 1 }] }));
  });
}
