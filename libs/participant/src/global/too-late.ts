import type { Logger } from '@concordat/foundation';
import { transactionIn } from './context-header.js';
import type { Delivery } from './derived-branch-id.js';

/** Codes that say that the transaction has ended, or can only abort: what comes now comes too late. */
const TOO_LATE = new Set([
  'TRANSACTION_DECIDED',
  'TRANSACTION_CLOSED',
  'TRANSACTION_EXPIRED',
  'TRANSACTION_NOT_FOUND',
  'CONTEXT_EXPIRED',
  'BRANCH_OCCUPIED',
  'ROLLBACK_ONLY',
]);

/** Whether an error says that its transaction has ended, or can only abort. */
export function isTooLate(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && TOO_LATE.has(error.code);
}

/** A message, with the context that it has brought. */
export interface HandledMessage {
  readonly context: string | readonly string[] | undefined;
  readonly delivery: Delivery;
}

/**
 * Whether a message that nobody waits for is to be acknowledged although its handler failed: its transaction has ended,
 * so nothing is left to do, and a repeat would change nothing. Logs it.
 */
export function isAcknowledged(error: unknown, call: HandledMessage, logger: Logger): boolean {
  if (!isTooLate(error)) return false;
  const { topic, partition, offset } = call.delivery;
  const place = `offset ${offset} of ${topic}, partition ${partition}`;
  const whole = `transaction ${transactionIn(call.context) ?? 'unknown'}`;
  logger.warn(`the message at ${place}, is acknowledged without effect: ${whole} has ended (${error.code})`);
  return true;
}
