import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { isUuid, silentLogger, type Logger } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';
import { ContextExpiredError, GlobalConfigurationError, InvalidContextError } from './errors.js';

/** Carries the context of a transaction from caller to callee: HTTP header, Kafka header, gRPC metadata. */
export const CONTEXT_HEADER = 'concordat-transaction';
/**
 * Travels beside the context: the caller's span, a W3C `traceparent`. A header of its own, because an instrumentation
 * adds `traceparent` by itself, and two of them would be none.
 */
export const TRACE_HEADER = 'concordat-traceparent';
export function callHeaders(context: string, traceparent: string | undefined): Readonly<Record<string, string>> {
  return { [CONTEXT_HEADER]: context, ...(traceparent !== undefined && { [TRACE_HEADER]: traceparent }) };
}

/** The variable that sets the key where the options do not. */
export const CONTEXT_KEY_VARIABLE = 'CONCORDAT_CONTEXT_KEY';

const VERSION = 'v1';
const MAXIMUM_LENGTH = 1_024;
const MAXIMUM_AUDIENCE_LENGTH = 255;
const MINIMUM_KEY_LENGTH = 16;
const DEADLINE = /^[1-9]\d{0,15}$/;
const BASE64URL = /^[A-Za-z0-9_-]+$/;
const AUTHENTICATOR = /^[A-Za-z0-9_-]{43}$/;
/** Clocks of two services may differ by this much, in milliseconds. */
const CLOCK_TOLERANCE_MS = 1_000;

/** What a call tells the callee about its transaction. */
export interface TransactionContext {
  readonly transactionId: TransactionId;
  /** milliseconds since 1970 */
  readonly deadline: number;
  /** who may use it: the destination as addressed */
  readonly audience: string;
}

/**
 * Writes and reads contexts, authenticated with the key of the cluster (HMAC-SHA256 over version, transaction,
 * deadline and audience). A context is no secret and may be used more than once until its deadline; a repeat joins the
 * same transaction.
 */
export class ContextCodec {
  /** @param key the same for all services of the cluster, at least 16 characters */
  constructor(private readonly key: string) {
    if (key.length >= MINIMUM_KEY_LENGTH) return;
    throw new GlobalConfigurationError(
      `contextKey has ${key.length} characters; use at least ${MINIMUM_KEY_LENGTH} random ones (openssl rand -base64 32), the same for all services`,
    );
  }

  encode({ transactionId, deadline, audience }: TransactionContext): string {
    const name = Buffer.from(audience.toLowerCase(), 'utf8').toString('base64url');
    const signed = `${VERSION}.${transactionId}.${Math.floor(deadline)}.${name}`;
    return `${signed}.${this.authenticate(signed)}`;
  }

  /**
   * @param value all values of the header that came with the call
   * @param audiences the names of this service, one of which the context must have been made for
   * @param now milliseconds since 1970
   * @throws InvalidContextError ContextExpiredError
   */
  decode(value: string | readonly string[], audiences: readonly string[], now: number): TransactionContext {
    const text = onlyOne(value);
    if (text.length > MAXIMUM_LENGTH) {
      throw invalid(`it has ${text.length} characters, more than the ${MAXIMUM_LENGTH} that a context can have`);
    }
    const parts = text.split('.');
    const [version, transactionId, deadlineText, name, authenticator] = parts;
    if (version !== VERSION) throw invalid('it does not begin with "v1."; all services must use compatible versions');
    if (parts.length !== 5 || !transactionId || !deadlineText || !name || !authenticator) {
      throw invalid(`it has ${parts.length} parts instead of 5; something on the way has cut it short`);
    }
    if (!isUuid(transactionId) || !DEADLINE.test(deadlineText) || !BASE64URL.test(name)) {
      throw invalid('its transaction id, deadline or audience cannot be read');
    }
    this.verify(text.slice(0, -(authenticator.length + 1)), authenticator);
    const audience = Buffer.from(name, 'base64url').toString('utf8');
    if (audience.length > MAXIMUM_AUDIENCE_LENGTH) throw invalid('the name of its audience is too long');
    if (!audiences.some((one) => one.toLowerCase() === audience)) throw foreign(transactionId, audience, audiences);
    const deadline = Number(deadlineText);
    if (now >= deadline + CLOCK_TOLERANCE_MS) throw new ContextExpiredError(transactionId, now - deadline);
    return { transactionId, deadline, audience };
  }

  private verify(signed: string, authenticator: string): void {
    const expected = Buffer.from(this.authenticate(signed));
    const given = Buffer.from(authenticator);
    if (AUTHENTICATOR.test(authenticator) && given.length === expected.length && timingSafeEqual(given, expected))
      return;
    throw invalid(
      `its signature is wrong; all services of the cluster need the same contextKey (${CONTEXT_KEY_VARIABLE})`,
    );
  }

  private authenticate(signed: string): string {
    return createHmac('sha256', this.key).update(signed).digest('base64url');
  }
}

/** The transaction that a context names, for the log: nothing is verified. */
export function transactionIn(value: string | readonly string[] | undefined): TransactionId | undefined {
  const text = typeof value === 'string' ? value : value?.[0];
  const transactionId = text?.slice(0, MAXIMUM_LENGTH).split('.')[1];
  return transactionId !== undefined && isUuid(transactionId) ? transactionId : undefined;
}

function onlyOne(value: string | readonly string[]): string {
  if (typeof value === 'string') return value;
  const [first, ...others] = value;
  if (first === undefined) throw invalid('it is empty');
  if (others.length > 0) throw invalid(`there are ${value.length} of them; send the header once`);
  return first;
}

function invalid(why: string): InvalidContextError {
  return new InvalidContextError(`the header ${CONTEXT_HEADER} cannot be used: ${why}`);
}

function foreign(transactionId: TransactionId, audience: string, audiences: readonly string[]): InvalidContextError {
  return invalid(
    `it was made for "${audience}", for transaction ${transactionId}, and this service is ${audiences.map((one) => `"${one}"`).join(' or ')}; behind a ` +
      'proxy, set `audiences` here to the names by which callers address this service',
  );
}

export interface ContextKeySettings {
  /** the option */
  readonly contextKey?: string | undefined;
  readonly cluster: string;
  /** URLs */
  readonly coordinators: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger?: Logger;
}

/**
 * The key of the cluster: the option, then the environment. With all coordinators on this machine, a key for
 * development made from the cluster's name.
 *
 * @throws GlobalConfigurationError without a key, or for coordinators that are no URLs
 */
export function contextKeyOf(settings: ContextKeySettings): string {
  const { cluster, coordinators, environment, logger = silentLogger } = settings;
  const key = settings.contextKey ?? environment[CONTEXT_KEY_VARIABLE];
  if (key !== undefined && key !== '') return key;
  if (!coordinators.every(isLoopback)) {
    throw new GlobalConfigurationError(
      `no key for the contexts of transactions: set the option contextKey or the variable ${CONTEXT_KEY_VARIABLE} to a ` +
        'random text of at least 16 characters (openssl rand -base64 32), the same in all services of the cluster',
    );
  }
  logger.warn(
    `contexts are signed with a key for development, because all coordinators are on this machine; set ${CONTEXT_KEY_VARIABLE} in production`,
  );
  return createHash('sha256').update(`concordat development ${cluster}`).digest('base64url');
}

function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) {
    throw new GlobalConfigurationError(`coordinators has "${url}"; use URLs such as http://127.0.0.1:8081`);
  }
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
