import { CodedError } from '@concordat/foundation';

/** Something the person at the terminal can act on: its message is one sentence and is printed without a stack. */
export class LabError extends CodedError {
  readonly code = 'LAB';
  readonly retryable = false;
}
