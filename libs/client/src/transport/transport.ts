import { errorOfProblem } from '../errors/error-of-problem.js';
import { CallTimeoutError, ConcordatError, ConnectionError, InvalidAnswerError } from '../errors/errors.js';
import { isRecord, mismatch, type Shape } from '../model/shape.js';
import { timeoutOf, type CallOptions, type HeaderRecord, type Settings } from './options.js';
import { planRetry, type Failure, type Repeatability } from './retry.js';
import { Scope } from './scope.js';
import { readText } from './read-text.js';

/** One call of the REST interface. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** with its query, from `/v1` on */
  readonly path: string;
  readonly body?: unknown;
  readonly repeatability: Repeatability;
  readonly idempotencyKey?: string | undefined;
  readonly lastEventId?: string | undefined;
  /** how long the coordinator may wait before it answers */
  readonly waitMs?: number;
  /** for errors whose problem does not name it */
  readonly transactionId?: string;
  /** the code that answers a repetition when the request before it has taken effect after all */
  readonly codeIfDone?: string;
  /** the statuses of a good answer */
  readonly statuses: readonly number[];
}

export interface Answer {
  readonly status: number;
  /** undefined when there was none */
  readonly body: unknown;
  /** when the request was sent that was answered, on the client's monotonic clock */
  readonly sentAtMs: number;
}

/** `leaderUrl`: another coordinator that answered in the end, as the one that was asked says */
type Attempt<Result> =
  { readonly result: Result; readonly leaderUrl?: string | undefined } | { readonly failure: Failure };

/** Of one request, unless the options say otherwise. */
const ATTEMPT_TIMEOUT_MS = 10_000;
/** Of the time of a call: enough is left to ask others. */
const SHARE_OF_SILENT_ONE = 1 / 3;

/** In an answer to a request that was forwarded to the leader. */
const LEADER_HEADER = 'concordat-leader';

/** Node.js says in the cause of a failed `fetch` that no byte has left; elsewhere one cannot know. */
const NOT_SENT: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** An answer that goes on: events. */
export interface OpenStream {
  readonly body: ReadableStream<Uint8Array>;
  /** ends the stream when its time is over: the reader sets it again; must be disposed */
  readonly scope: Scope;
}

/** Sends calls to a coordinator that answers, and repeats them where that is allowed (`planRetry`). */
export class Transport {
  constructor(readonly settings: Settings) {}

  /** @throws ConcordatError, and whatever the call's signal was aborted with */
  request(call: Call, options: CallOptions): Promise<Answer> {
    return this.repeat(call, options, (url, scope, isRepeated) => this.send(url, call, options, scope, isRepeated));
  }

  /** As `request`, and checks the body. */
  async read<T>(call: Call, shape: Shape<T>, options: CallOptions): Promise<T> {
    const { body, status } = await this.request(call, options);
    return checked(shape, body, call, status);
  }

  /** An answer as a stream, once it has begun. `timeoutMs` bounds only that. */
  open(call: Call, options: CallOptions): Promise<OpenStream> {
    return this.repeat(call, options, (url, scope) => this.begin(url, call, options, scope));
  }

  private async repeat<Result>(
    call: Call,
    options: CallOptions,
    attemptAt: (url: string, scope: Scope, isRepeated: boolean) => Promise<Attempt<Result>>,
  ): Promise<Result> {
    const { clock, coordinators, retry, random, timeoutMs } = this.settings;
    const { repeatability, waitMs = 0 } = call;
    const limitMs = timeoutOf('timeoutMs', options.timeoutMs ?? timeoutMs) + waitMs;
    const scope = new Scope(clock, options.signal, limitMs);
    const round = coordinators.round();
    let asked: string | undefined;
    let [isSent, mayHaveTakenEffect] = [false, false];
    let last: ConcordatError | undefined;
    try {
      for (let attempt = 1; ; attempt++) {
        scope.signal.throwIfAborted();
        const url = round.next();
        asked = url;
        isSent = true;
        const tried = await attemptAt(url, scope, mayHaveTakenEffect);
        isSent = false;
        if ('result' in tried) {
          coordinators.answered(url, tried.leaderUrl);
          return tried.result;
        }
        const { count: coordinatorCount } = coordinators;
        const { remainingMs } = scope;
        const attempts = { repeatability, attempt, coordinatorCount, mayHaveTakenEffect, remainingMs };
        const plan = planRetry(tried.failure, attempts, retry, random());
        if (plan.kind === 'give-up') throw plan.error;
        coordinators.failed(url);
        last = tried.failure.error;
        ({ mayHaveTakenEffect } = plan);
        await scope.pause(plan.delayMs);
      }
    } catch (error) {
      if (!scope.hasTimedOut || error !== scope.signal.reason) throw error;
      if (isSent && asked !== undefined) coordinators.failed(asked);
      throw timedOut(call, limitMs, repeatability !== 'read' && (mayHaveTakenEffect || isSent), last);
    } finally {
      scope.dispose();
    }
  }

  /** One request and its whole answer. */
  private async send(
    url: string,
    call: Call,
    options: CallOptions,
    scope: Scope,
    isRepeated: boolean,
  ): Promise<Attempt<Answer>> {
    const own = new Scope(this.settings.clock, scope.signal, this.attemptTimeoutMs(call, options));
    try {
      const init = await this.requestInit(call, options, own.signal);
      const sentAtMs = this.settings.clock.monotonic();
      const answered = await reach(url, call, scope, own, async () => {
        const response = await this.settings.fetch(`${url}${call.path}`, init);
        return { response, text: await readText(response) };
      });
      if ('failure' in answered) return answered;
      const { response, text } = answered.result;
      const { status } = response;
      if (!response.ok) {
        const failure = failureOf(call, response, text);
        const isDone = isRepeated && failure.error.code === call.codeIfDone;
        return isDone ? { result: { status: 204, body: undefined, sentAtMs } } : { failure };
      }
      if (!call.statuses.includes(status)) throw unexpected(call, status);
      const leaderUrl = response.headers.get(LEADER_HEADER) ?? undefined;
      return { result: { status, body: text === '' ? undefined : parsed(text, call, status), sentAtMs }, leaderUrl };
    } finally {
      own.dispose();
    }
  }

  /** One request, until its answer has begun. */
  private async begin(url: string, call: Call, options: CallOptions, scope: Scope): Promise<Attempt<OpenStream>> {
    // A child of the caller's signal: it outlives the opening.
    const timeoutMs = Math.min(this.attemptTimeoutMs(call, options), scope.remainingMs);
    const own = new Scope(this.settings.clock, options.signal, timeoutMs);
    let opened: OpenStream | undefined;
    try {
      const init = await this.requestInit(call, options, own.signal);
      const answered = await reach(url, call, scope, own, async () => {
        const response = await this.settings.fetch(`${url}${call.path}`, init);
        return { response, text: response.ok ? '' : await readText(response) };
      });
      if ('failure' in answered) return answered;
      const { response, text } = answered.result;
      if (!response.ok) return { failure: failureOf(call, response, text) };
      if (!call.statuses.includes(response.status) || response.body === null) throw unexpected(call, response.status);
      opened = { body: response.body, scope: own };
      return { result: opened };
    } finally {
      if (opened === undefined) own.dispose();
    }
  }

  private attemptTimeoutMs({ waitMs = 0, repeatability }: Call, options: CallOptions): number {
    const { settings } = this;
    const given = options.attemptTimeoutMs ?? settings.attemptTimeoutMs;
    if (given !== undefined) return timeoutOf('attemptTimeoutMs', given) + waitMs;
    const isShared = repeatability !== 'once' && settings.coordinators.count > 1;
    const share = isShared ? (options.timeoutMs ?? settings.timeoutMs) * SHARE_OF_SILENT_ONE : Infinity;
    return Math.max(1, Math.min(ATTEMPT_TIMEOUT_MS, share)) + waitMs;
  }

  private async requestInit(call: Call, options: CallOptions, signal: AbortSignal): Promise<RequestInit> {
    const { method, body, idempotencyKey, lastEventId } = call;
    const own: HeaderRecord = {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      'idempotency-key': idempotencyKey,
      'last-event-id': lastEventId,
    };
    const headers = new Headers();
    const authorization = await this.settings.authorization();
    for (const group of [await this.settings.headers(), { authorization }, options.headers ?? {}, own]) {
      for (const [name, value] of Object.entries(group)) if (value !== undefined) headers.set(name, value);
    }
    // A coordinator never redirects; a redirected POST would become a GET.
    const init: RequestInit = { method, headers, signal, redirect: 'error' };
    return body === undefined ? init : { ...init, body: JSON.stringify(body) };
  }
}

const UNREACHABLE =
  'check that a coordinator runs there ("npx concordat dev" starts one for development) and that the option ' +
  '"coordinators" has its address';
const SILENT = 'look at the log of that coordinator, and at the network in between';
const NO_COORDINATOR = 'check that the option "coordinators" has the REST addresses of coordinators of this version';

/** Runs `work`; a connection that fails, and an answer that does not come in time, are failures. */
async function reach<Result>(
  url: string,
  call: Call,
  scope: Scope,
  own: Scope,
  work: () => Promise<Result>,
): Promise<Attempt<Result>> {
  try {
    return { result: await work() };
  } catch (cause) {
    scope.signal.throwIfAborted();
    if (cause instanceof ConcordatError) throw cause;
    const said = own.hasTimedOut ? 'gave no answer in time' : `could not be reached: ${innermost(cause)}`;
    const mayHaveTakenEffect = own.hasTimedOut || !wasNotSent(cause);
    const message = `${url} ${said} (${describe(call)}); ${own.hasTimedOut ? SILENT : UNREACHABLE}`;
    return { failure: { error: new ConnectionError(message, { cause, mayHaveTakenEffect }), retryAfterMs: undefined } };
  }
}

function failureOf({ transactionId }: Call, response: Response, text: string): Failure {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined; // no problem of a coordinator
  }
  const seconds = response.headers.get('retry-after') ?? '';
  const retryAfterMs = /^\d{1,5}$/.test(seconds) ? Number(seconds) * 1_000 : undefined;
  return { error: errorOfProblem(response.status, body, transactionId), retryAfterMs };
}

/** @throws InvalidAnswerError */
export function checked<T>(shape: Shape<T>, value: unknown, call: Call, status: number): T {
  const found = mismatch(shape, value, 'the answer');
  if (found === undefined) return value as T;
  throw invalidAnswer(call, status, found);
}

function parsed(text: string, call: Call, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalidAnswer(call, status, 'the answer is not valid JSON', cause);
  }
}

function unexpected(call: Call, status: number): InvalidAnswerError {
  return invalidAnswer(call, status, `the status ${status} is not one of ${call.statuses.join(', ')}`);
}

function invalidAnswer(call: Call, status: number, found: string, cause?: unknown): InvalidAnswerError {
  const mayHaveTakenEffect = call.repeatability !== 'read';
  return new InvalidAnswerError(`${describe(call)}: ${found}; ${NO_COORDINATOR}`, {
    status,
    cause,
    mayHaveTakenEffect,
  });
}

function timedOut(call: Call, limitMs: number, mayHaveTakenEffect: boolean, cause: unknown): CallTimeoutError {
  const said = mayHaveTakenEffect ? 'it may have taken effect, so look before you repeat it' : 'nothing happened';
  const remedy = `${said}. Look at the coordinators, or give the call a longer timeoutMs`;
  return new CallTimeoutError(`${describe(call)} took longer than ${limitMs} ms; ${remedy}`, {
    cause,
    mayHaveTakenEffect,
  });
}

function describe({ method, path }: Call): string {
  return `${method} ${path.replace(/\?.*/, '')}`;
}

function wasNotSent(error: unknown): boolean {
  for (let cause = error, depth = 0; isRecord(cause) && depth < 4; cause = cause['cause'], depth++) {
    if (NOT_SENT.has(cause['code'])) return true;
    // several addresses of one name, all tried
    const { errors } = cause;
    if (Array.isArray(errors) && errors.length > 0) return errors.every(wasNotSent);
  }
  return false;
}

/** The sentence that says most: `fetch failed` does not. */
function innermost(error: unknown): string {
  let found = error;
  for (let depth = 0; depth < 4 && found instanceof Error && found.cause instanceof Error; depth++) found = found.cause;
  if (!(found instanceof Error)) return String(found);
  return found.message === '' && 'code' in found ? String(found.code) : found.message;
}
