import { unreachable } from '@concordat/foundation';
import { NotLeaderError, ProposalDroppedError, ProposalUnknownError } from '@concordat/raft';
import { LogUnavailableError, OutcomeUnknownError, RecordTooLargeError } from './decision-log.js';

/** Turns the error of a Raft proposal into an error of the decision log; returns any other error unchanged. */
export function logError(cause: unknown): unknown {
  if (cause instanceof NotLeaderError) {
    return new LogUnavailableError('no-leader', 'this node does not lead the cluster', { cause });
  }
  if (cause instanceof ProposalUnknownError) {
    return new OutcomeUnknownError('the leader changed before the request was confirmed; it may have taken effect', {
      cause,
    });
  }
  return cause instanceof ProposalDroppedError ? droppedError(cause) : cause;
}

/** @param reason what the storage says */
export function diskFullError(reason: string, cause?: Error): LogUnavailableError {
  return new LogUnavailableError('disk-full', `the disk of the leader is full: ${reason}`, { cause });
}

function droppedError(cause: ProposalDroppedError): Error {
  switch (cause.code) {
    case 'STOPPED':
      return new LogUnavailableError('no-leader', 'this node is stopping', { cause });
    case 'TOO_LARGE':
      return new RecordTooLargeError('the request does not fit into one record of the log', { cause });
    case 'TRANSFERRING':
      return new LogUnavailableError('handing-over', 'the leader is handing over to another node', { cause });
    case 'DISK_FULL':
      return diskFullError(cause.message, cause);
    case 'OVERLOADED':
      return new LogUnavailableError('overloaded', 'the log is overloaded', { cause });
    default:
      return unreachable(cause.code, 'reason');
  }
}
