import { errorMessage, type Clock } from '@concordat/foundation';
import { clockDifferenceMs } from './clock-difference.js';

const ANSWER_LIMIT_MS = 5_000;
/** `Date` of an answer has whole seconds, rounded down. */
const DATE_HEADER_RANGE_MS = 999;

/** The group as one coordinator sees it. */
export interface GroupFacts {
  readonly clusterName: string;
  readonly clusterId: string | null;
  readonly nodeId: number;
  readonly leaderId: number | null;
  /** where participants open streams; null when direct streams are off */
  readonly directAddress: string | null;
  readonly members: readonly { readonly nodeId: number; readonly httpUrl: string }[];
}

/** What one coordinator says about itself. */
export interface CoordinatorFacts {
  readonly url: string;
  /** why it did not answer as a coordinator; then nothing else is known */
  readonly problem?: string;
  readonly isReady: boolean;
  /** why it is not ready */
  readonly reasons: readonly string[];
  readonly group?: GroupFacts;
  /** the status by which it refuses to name its group: the token is missing, or has no role */
  readonly refusedWith?: 401 | 403;
  /** of its clock against this process's, see `clockDifferenceMs`; 0 where it does not tell */
  readonly clockDifferenceMs: number;
}

/**
 * Asks a coordinator for its readiness and its group. Never rejects: no answer is a fact, too.
 *
 * @param token shows who asks, where coordinators want to know; without one they tell nothing of their group
 */
export async function readCoordinator(
  url: string,
  clock: Clock,
  token?: Token,
  fetchOf: typeof globalThis.fetch = fetch,
): Promise<CoordinatorFacts> {
  const unknown = { url, isReady: false, reasons: [], clockDifferenceMs: 0 };
  try {
    const askedAt = clock.now();
    const { body, date } = await getJson(fetchOf, url, '/readyz');
    const answeredAt = clock.now();
    const { status, reasons } = body as { readonly status?: unknown; readonly reasons?: unknown };
    if (status !== 'ready' && status !== 'not-ready') {
      return { ...unknown, problem: 'something else than a coordinator answers there' };
    }
    const { body: group, status: answered } = await getJson(fetchOf, url, '/v1/cluster', await bearerOf(token));
    return {
      url,
      isReady: status === 'ready',
      reasons: Array.isArray(reasons) ? reasons.map(String) : [],
      ...(isGroup(group) && { group }),
      ...((answered === 401 || answered === 403) && { refusedWith: answered }),
      clockDifferenceMs:
        date === undefined
          ? 0
          : clockDifferenceMs({ earliest: date, latest: date + DATE_HEADER_RANGE_MS, askedAt, answeredAt }),
    };
  } catch (error) {
    return { ...unknown, problem: reasonOf(error) };
  }
}

type Token = string | (() => string | Promise<string>);

async function bearerOf(token: Token | undefined): Promise<string | undefined> {
  return typeof token === 'function' ? token() : token;
}

async function getJson(
  fetchOf: typeof globalThis.fetch,
  url: string,
  path: string,
  bearer?: string,
): Promise<{ readonly body: unknown; readonly status: number; readonly date: number | undefined }> {
  const response = await fetchOf(new URL(path, url), {
    // a token is for the coordinators only, not for whom they might name
    ...(bearer !== undefined && { headers: { authorization: `Bearer ${bearer}` }, redirect: 'error' }),
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  });
  const text = await response.text();
  const date = Date.parse(response.headers.get('date') ?? '');
  try {
    return { body: JSON.parse(text) as unknown, status: response.status, date: Number.isNaN(date) ? undefined : date };
  } catch {
    return { body: {}, status: response.status, date: undefined };
  }
}

function isGroup(value: unknown): value is GroupFacts {
  const { clusterName, nodeId, leaderId, members } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return (
    typeof clusterName === 'string' &&
    typeof nodeId === 'number' &&
    (leaderId === null || typeof leaderId === 'number') &&
    Array.isArray(members)
  );
}

/** `fetch` hides the reason in its cause. */
function reasonOf(error: unknown): string {
  const { name, cause } = error as { readonly name?: unknown; readonly cause?: unknown };
  if (name === 'TimeoutError') return `no answer within ${ANSWER_LIMIT_MS} ms`;
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  const text = cause === undefined ? errorMessage(error) : errorMessage(cause);
  return text === '' && typeof code === 'string' ? code : text;
}
