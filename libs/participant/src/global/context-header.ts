import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { isUuid } from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';
import { CONTEXT_KEY_FILE_VARIABLE, CONTEXT_KEY_VARIABLE, fixedKeys, type ContextKeySource } from './context-keys.js';
import { ContextExpiredError, InvalidContextError } from './errors.js';

/** Carries the context of a transaction from caller to callee: HTTP header, Kafka header, gRPC metadata. */
export const CONTEXT_HEADER = 'concordat-transaction';
/**
 * Travels beside the context: the caller's span, a W3C `traceparent`. A header of its own, because an instrumentation
 * adds `traceparent` by itself, and two of them would be none.
 */
export const TRACE_HEADER = 'concordat-traceparent';
/**
 * Travels beside the context, and goes to the coordinators with each request of a participant that joins: the secret by
 * which it shows that it was called. A header of its own, because a process of an earlier version refuses a context with
 * more parts.
 */
export const INVITATION_HEADER = 'concordat-invitation';
const INVITATION = /^[A-Za-z0-9_-]{22,128}$/;
const INVITATION_BYTES = 16;

/** A new one, for a transaction that begins. */
export function newInvitation(): string {
  return randomBytes(INVITATION_BYTES).toString('base64url');
}

/** The invitation among the values of a header; undefined when there is none that could be one. */
export function invitationIn(value: string | readonly string[] | undefined): string | undefined {
  const [only, ...others] = typeof value === 'string' ? [value] : (value ?? []);
  return only !== undefined && others.length === 0 && INVITATION.test(only) ? only : undefined;
}

export function callHeaders(
  context: string,
  traceparent: string | undefined,
  invitation: string | undefined,
): Readonly<Record<string, string>> {
  return {
    [CONTEXT_HEADER]: context,
    ...(traceparent !== undefined && { [TRACE_HEADER]: traceparent }),
    ...(invitation !== undefined && { [INVITATION_HEADER]: invitation }),
  };
}

const VERSION = 'v1';
const MAXIMUM_LENGTH = 1_024;
const MAXIMUM_AUDIENCE_LENGTH = 255;
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
 * Writes and reads contexts, authenticated with a key of the cluster (HMAC-SHA256 over version, transaction, deadline
 * and audience). A context is no secret and may be used more than once until its deadline; a repeat joins the same
 * transaction.
 */
export class ContextCodec {
  private readonly keys: ContextKeySource;

  /**
   * @param keys those of all services of the cluster, each of at least 16 characters: the first signs, all verify
   * @throws GlobalConfigurationError for keys that cannot be used
   */
  constructor(keys: string | readonly string[] | ContextKeySource) {
    this.keys = typeof keys === 'function' ? keys : fixedKeys(keys);
  }

  encode({ transactionId, deadline, audience }: TransactionContext): string {
    const name = Buffer.from(audience.toLowerCase(), 'utf8').toString('base64url');
    const signed = `${VERSION}.${transactionId}.${Math.floor(deadline)}.${name}`;
    const [signingKey] = this.keys();
    return `${signed}.${authenticatorOf(signed, signingKey!)}`;
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

  /** Every key is tried, also after one that matches: how long it takes does not say which. */
  private verify(signed: string, authenticator: string): void {
    const given = Buffer.from(authenticator);
    let matching = 0;
    if (AUTHENTICATOR.test(authenticator)) {
      for (const key of this.keys()) {
        matching += Number(timingSafeEqual(given, Buffer.from(authenticatorOf(signed, key))));
      }
    }
    if (matching > 0) return;
    throw invalid(
      `its signature is wrong; all services of the cluster need the same contextKey (${CONTEXT_KEY_VARIABLE} or ${CONTEXT_KEY_FILE_VARIABLE})`,
    );
  }
}

function authenticatorOf(signed: string, key: string): string {
  return createHmac('sha256', key).update(signed).digest('base64url');
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
