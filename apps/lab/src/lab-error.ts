import { CodedError } from '@concordat/foundation';

/** An error that the user can act on: its message is one sentence and is printed without a stack. */
export class LabError extends CodedError {
  readonly code = 'LAB';
  readonly retryable = false;
}
