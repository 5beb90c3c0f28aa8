import { errorMessage, rereadOnRequest, type Logger, type Rereadable } from '@concordat/foundation';
import { errors, type JSONWebKeySet, type JWTHeaderParameters } from 'jose';
import { AuthenticationUnavailableError } from './errors.js';
import { KeyRing, type VerificationKey, type VerificationKeys } from './verification-keys.js';

export interface RemoteKeysOptions {
  readonly url: string;
  readonly monotonic: () => number;
  readonly logger: Logger;
  /** default: the platform's */
  readonly fetch?: typeof globalThis.fetch;
  /** for the whole answer; default 3 s */
  readonly timeoutMs?: number;
}

/** Older keys are fetched again, while they are still used. */
export const REFRESH_AFTER_MS = 10 * 60_000;
/** Nobody has used keys that are older, so they are fetched before one of them is believed, unless that fails. */
export const ASK_FIRST_AFTER_MS = 11 * 60_000;
/** Older keys are not used any more, although no newer ones can be fetched. */
export const UNUSABLE_AFTER_MS = 60 * 60_000;
/** An unknown key leads to a question at most this often: anybody can send a token with one. */
export const ASK_FOR_UNKNOWN_EACH_MS = 10_000;
/** After a failure the issuer is left alone for so long. */
export const PAUSE_AFTER_FAILURE_MS = 1_000;
const TIMEOUT_MS = 3_000;
const MAXIMUM_BYTES = 256 * 1024;

interface Fetched {
  readonly ring: KeyRing;
  readonly at: number;
}

/**
 * The keys at a URL. They are kept, fetched again when they are old or a token names an unknown one, and outlast an
 * issuer that cannot be reached for an hour. Requests that need them at the same time share one question.
 */
export class RemoteKeys implements VerificationKeys, Rereadable {
  private fetched: Fetched | undefined;
  private pending: Promise<KeyRing> | undefined;
  private askedAt = Number.NEGATIVE_INFINITY;
  private failure: { readonly error: AuthenticationUnavailableError; readonly at: number } | undefined;

  constructor(private readonly options: RemoteKeysOptions) {
    rereadOnRequest(this);
  }

  readAgain(): void {
    // a failure is logged, and the keys that are there stay
    this.ask().catch(() => undefined);
  }

  async keyFor(header: JWTHeaderParameters): Promise<VerificationKey> {
    const ring = await this.fresh();
    const newest = (): KeyRing | undefined => this.present();
    try {
      return await ring.keyFor(header, newest);
    } catch (error) {
      const isUnknown = error instanceof errors.JWKSNoMatchingKey;
      if (!isUnknown || this.options.monotonic() - this.askedAt < ASK_FOR_UNKNOWN_EACH_MS) throw error;
    }
    return (await this.ask()).keyFor(header, newest);
  }

  private async fresh(): Promise<KeyRing> {
    const ring = this.present();
    if (ring === undefined) return this.ask();
    if (this.age() < ASK_FIRST_AFTER_MS || this.failure) return ring;
    return this.ask().catch(() => ring);
  }

  /** The keys that are used now; old ones are fetched again meanwhile. Undefined: there are none. */
  private present(): KeyRing | undefined {
    const age = this.age();
    // who waits for nothing need not know whether it fails: it is logged
    if (age >= REFRESH_AFTER_MS) this.ask().catch(() => undefined);
    return age < UNUSABLE_AFTER_MS ? this.fetched?.ring : undefined;
  }

  private age(): number {
    return this.fetched ? this.options.monotonic() - this.fetched.at : Number.POSITIVE_INFINITY;
  }

  private ask(): Promise<KeyRing> {
    const { failure } = this;
    if (failure && this.options.monotonic() - failure.at < PAUSE_AFTER_FAILURE_MS) return Promise.reject(failure.error);
    this.pending ??= this.fetchKeys().finally(() => (this.pending = undefined));
    return this.pending;
  }

  private async fetchKeys(): Promise<KeyRing> {
    const { monotonic, logger, url } = this.options;
    this.askedAt = monotonic();
    try {
      const ring = new KeyRing((await this.download()) as JSONWebKeySet);
      this.fetched = { ring, at: monotonic() };
      this.failure = undefined;
      return ring;
    } catch (cause) {
      const error = new AuthenticationUnavailableError('the keys of the issuer cannot be read now', { cause });
      this.failure = { error, at: monotonic() };
      logger.warn(`the keys at ${withoutQuery(url)} cannot be read: ${innermost(cause)}`);
      throw error;
    }
  }

  private async download(): Promise<unknown> {
    const { url, fetch = globalThis.fetch, timeoutMs = TIMEOUT_MS } = this.options;
    const response = await fetch(url, {
      headers: { accept: 'application/json, application/jwk-set+json' },
      // an issuer that sends its askers elsewhere may be one that was taken over
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      throw new Error(`the answer has the status ${response.status}`);
    }
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of response.body) {
      sizeBytes += chunk.length;
      if (sizeBytes > MAXIMUM_BYTES) throw new Error(`the answer has more than ${MAXIMUM_BYTES} bytes`);
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  }
}

/** Some issuers want a key of theirs there. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/** `fetch failed` says nothing. */
function innermost(error: unknown): string {
  let found = error;
  for (let depth = 0; depth < 4; depth++) {
    const { cause } = Object(found) as { cause?: unknown };
    if (cause === undefined || cause === null) break;
    found = cause;
  }
  return errorMessage(found);
}
