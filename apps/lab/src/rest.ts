import { LabError } from './lab-error.js';

/** A transaction over REST (contract.md), as far as the lab reads it. */
export interface TransactionView {
  readonly id: string;
  readonly status: string;
  readonly outcome?: string | null;
  readonly endedAt?: string | null;
}

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Operation {
  readonly participant: string;
  readonly operation: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly keys?: readonly string[];
}

export interface ExecuteOptions {
  readonly protocol?: '2pc' | '3pc';
  readonly wait?: 'decided' | 'ended';
  readonly timeoutMs?: number;
  readonly waitMs?: number;
}

const REQUEST_TIMEOUT_MS = 20_000;
/** A coordinator without an answer for this long after the requested wait is dead, or paused. */
const SILENCE_MS = 2_000;

/** One request with a JSON answer. @throws when there is no answer (refused, disconnected, timed out) */
export async function request(
  method: string,
  url: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
  timeoutMs: number = REQUEST_TIMEOUT_MS,
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  try {
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) };
  } catch (cause) {
    throw new LabError(`${method} ${url} answered ${response.status} with something that is not JSON.`, { cause });
  }
}

/** Begin, prepare and commit in one call. */
export async function execute(
  coordinatorUrl: string,
  branches: readonly Operation[],
  key: string,
  options: ExecuteOptions = {},
): Promise<Answer> {
  const waitMs = options.waitMs ?? 15_000;
  const query = new URLSearchParams({ wait: options.wait ?? 'decided', waitMs: String(waitMs) });
  const { protocol, timeoutMs } = options;
  const body = { branches, ...(protocol && { protocol }), ...(timeoutMs !== undefined && { timeoutMs }) };
  const url = `${coordinatorUrl}/v1/transactions/execute?${query.toString()}`;
  return await request('POST', url, body, { 'idempotency-key': key }, waitMs + SILENCE_MS);
}

/** Describes an unexpected answer in a sentence. */
export function describeAnswer({ status, body }: Answer): string {
  const detail = body['detail'] ?? body['title'] ?? JSON.stringify(body);
  return `${status} ${String(body['code'] ?? '')} ${String(detail)}`.replaceAll(/\s+/g, ' ');
}
