import { get as getPlain } from 'node:http';
import { get as getSecurely } from 'node:https';
import { tlsFetch } from '@concordat/foundation';
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

/** What a secured system wants of its callers. */
export interface Access {
  /** certificates of the authorities that are trusted, in PEM */
  readonly ca: string;
  /** the credential of those who show no other */
  readonly token: string;
}

let access: (() => Access) | undefined;

/** From now on calls by https use this; asked for each request, so that all of it may change. */
export function callWith(current: () => Access): void {
  access = current;
}

const secureFetch = tlsFetch(() => (access ? { ca: access().ca } : {}));

export interface Question {
  readonly method?: string;
  readonly body?: string;
  /** `authorization` stands for itself; an empty one means none */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** One request, by http or https. @throws when there is no answer (refused, disconnected, timed out) */
export async function ask(
  url: string,
  { headers = {}, ...question }: Question = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await secureFetch(url, { ...question, headers: withCredential(url, headers) });
  return { status: response.status, text: await response.text() };
}

function withCredential(url: string, headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!url.startsWith('https:') || !access) return headers;
  const { authorization = `Bearer ${access().token}`, ...others } = headers;
  return authorization === '' ? others : { ...others, authorization };
}

/** A request by GET whose answer goes on: resolves with its beginning. Ends by the signal. */
export function openStream(url: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const get = url.startsWith('https:') ? getSecurely : getPlain;
  const options = { signal, headers: withCredential(url, {}), ...(access && { ca: access().ca }) };
  return new Promise((resolve, reject) => {
    get(url, options, resolve).on('error', reject);
  });
}

/** The same as `ask` with a JSON answer. */
export async function request(
  method: string,
  url: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
  timeoutMs: number = REQUEST_TIMEOUT_MS,
): Promise<Answer> {
  const { status, text } = await ask(url, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  try {
    return { status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) };
  } catch (cause) {
    throw new LabError(`${method} ${url} answered ${status} with something that is not JSON.`, { cause });
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
