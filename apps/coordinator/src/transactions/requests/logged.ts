import type { ApplyResult } from '@concordat/commit-protocol';
import { CodedError } from '@concordat/foundation';
import {
  AppendUnknownError,
  LogFullError,
  LogHandingOverError,
  LogOverloadedError,
  NotLeadingError,
  RecordTooLargeError,
} from '../../decision-log/decision-log.js';
import {
  DiskFullError,
  HandingOverError,
  NoLeaderError,
  OutcomeUnknownError,
  OverloadedError,
  PayloadTooLargeError,
} from '../errors.js';

/** The log has this key or id already: another request was faster, and this one starts again (`OncePerKey`). */
export class RepeatedWhileLoggingError extends CodedError {
  readonly code = 'REPEATED';
  readonly retryable = true;
}

/**
 * What became of a proposal that a request made, with the log's errors in the words of the REST interface.
 *
 * @throws RepeatedWhileLoggingError when the log refused it because another request was faster
 */
export async function logged(proposal: Promise<ApplyResult>): Promise<ApplyResult> {
  const result = await proposal.catch(refuse);
  const { refusal } = result;
  if (refusal === 'KEY_IN_USE' || refusal === 'TRANSACTION_EXISTS') {
    throw new RepeatedWhileLoggingError(`another request was faster: ${refusal}`);
  }
  return result;
}

function refuse(cause: unknown): never {
  if (cause instanceof NotLeadingError) throw new NoLeaderError('this node lost the leadership', { cause });
  if (cause instanceof LogFullError) {
    throw new DiskFullError(`the disk of the leader is full: ${cause.message}`, { cause });
  }
  if (cause instanceof LogHandingOverError) {
    throw new HandingOverError('the leader is handing over to another node', { cause });
  }
  if (cause instanceof LogOverloadedError) throw new OverloadedError('the log has too much under way', { cause });
  if (cause instanceof RecordTooLargeError) {
    throw new PayloadTooLargeError('the request does not fit into one record of the log', { cause });
  }
  if (cause instanceof AppendUnknownError) {
    throw new OutcomeUnknownError('the leadership was lost on the way; the request may have happened', { cause });
  }
  throw cause;
}
