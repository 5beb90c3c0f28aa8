import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from './wait-for.js';

const CAREFUL_TIMEOUT_MS = 30_000;
const CAREFUL_PAUSE_MS = 50;

/** An answer of a coordinator or participant: status, headers and the JSON body. */
export interface Answer<Body = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

export interface TransactionBody {
  readonly id: string;
  readonly status: string;
  readonly outcome: string | null;
  /** in the place of `id` where an abort is answered as a problem */
  readonly transactionId: string;
  readonly branches: readonly { branchId: string; participant: string; state: string; vote: string | null }[];
  readonly [field: string]: unknown;
}

export interface BranchBody {
  readonly participant: string;
  readonly operation: string;
  readonly payload: unknown;
  readonly keys?: readonly string[];
}

export async function call<Body = Record<string, unknown>>(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<Body>> {
  const response = await fetch(url, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as Body };
}

/**
 * As `call`, and as a careful client: a 503 says that nothing is known yet, so the request is sent again with the same
 * Idempotency-Key, for half a minute. On a machine that starves a leader for a moment, an election is a right answer,
 * not a fault.
 */
export async function callCarefully<Body = Record<string, unknown>>(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<Body>> {
  const withKey = { ...(method === 'POST' && body !== undefined && { 'idempotency-key': randomUUID() }), ...headers };
  const deadline = performance.now() + CAREFUL_TIMEOUT_MS;
  for (;;) {
    const answer = await call<Body>(method, url, body, withKey);
    if (answer.status !== 503 || performance.now() > deadline) return answer;
    await delay(CAREFUL_PAUSE_MS);
  }
}

export function debit(account: string, amount: unknown, participant = 'bank-a'): BranchBody {
  return { participant, operation: 'debit', payload: { account, amount } };
}

export function credit(account: string, amount: unknown, participant = 'bank-b'): BranchBody {
  return { participant, operation: 'credit', payload: { account, amount } };
}

/**
 * A client that behaves as the README asks: it repeats a request with the same key, at another node, until it
 * has an answer that is final (neither 503 nor a broken connection nor 202).
 */
export class PatientClient {
  constructor(private readonly coordinatorUrls: readonly string[]) {}

  async execute(branches: readonly BranchBody[], key: string = randomUUID()): Promise<Answer<TransactionBody>> {
    let attempt = 0;
    return waitFor(
      'a final answer',
      async () => {
        const url = this.coordinatorUrls[attempt++ % this.coordinatorUrls.length]!;
        const answer = await call<TransactionBody>(
          'POST',
          `${url}/v1/transactions/execute?waitMs=5000`,
          { branches },
          { 'idempotency-key': key },
        ).catch(() => undefined);
        return answer && answer.status !== 503 && answer.status !== 202 ? answer : undefined;
      },
      { timeoutMs: 60_000, intervalMs: 50 },
    );
  }
}
