/** A request as the client sent it. */
export interface SentRequest {
  readonly method: string;
  /** the origin: which coordinator was asked */
  readonly coordinator: string;
  /** path and query */
  readonly path: string;
  readonly headers: Headers;
  readonly body: unknown;
  readonly signal: AbortSignal;
}

/** One step of a script: what the coordinator answers to the next request. */
export type Step = (request: SentRequest) => Response | Promise<Response>;

/** A `fetch` that answers by a script, one step for each request, and fails the test beyond it. */
export class ScriptedFetch {
  readonly sent: SentRequest[] = [];
  private readonly steps: Step[];

  constructor(...steps: Step[]) {
    this.steps = steps;
  }

  add(...steps: Step[]): this {
    this.steps.push(...steps);
    return this;
  }

  get remaining(): number {
    return this.steps.length;
  }

  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const { method = 'GET', body, signal } = init;
    const request: SentRequest = {
      method,
      coordinator: url.origin,
      path: `${url.pathname}${url.search}`,
      headers: new Headers(init.headers),
      body: typeof body === 'string' ? JSON.parse(body) : undefined,
      signal: signal ?? new AbortController().signal,
    };
    this.sent.push(request);
    const step = this.steps.shift();
    if (step === undefined) throw new TypeError('the script has no further step', { cause: { code: 'ECONNREFUSED' } });
    request.signal.throwIfAborted();
    return step(request);
  };
}

export function answer(status: number, body?: unknown, headers: Readonly<Record<string, string>> = {}): Step {
  return () => new Response(body === undefined ? null : JSON.stringify(body), { status, headers });
}

export function problem(
  code: string,
  status: number,
  extensions: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {},
): Step {
  const body = {
    type: 'urn:x',
    title: code,
    status,
    code,
    detail: `the detail of ${code}`,
    instance: '/',
    ...extensions,
  };
  return answer(status, body, { 'content-type': 'application/problem+json', ...headers });
}

/** No byte has left. */
export const refused: Step = () => {
  throw new TypeError('fetch failed', { cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) });
};

/** The connection broke after the request was sent. */
export const broken: Step = () => {
  throw new TypeError('fetch failed', { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) });
};

/** No answer, until the client gives up. */
export const silent: Step = ({ signal }) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
