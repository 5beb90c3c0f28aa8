export interface CodedErrorOptions {
  /** the error that led to this one */
  cause?: unknown;
  /** typed details for machines: ids, limits, values */
  details?: Readonly<Record<string, unknown>>;
}

/**
 * Base of every error that crosses a boundary.
 *
 * `code` is stable (clients compare it), `message` is a sentence a person can act on, and `retryable` says whether the
 * same request may succeed later.
 */
export abstract class CodedError extends Error {
  abstract readonly code: string;
  abstract readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.details = options.details ?? {};
  }
}

/** A base with a fixed code: `class DiskFullError extends codedError('DISK_FULL', { retryable: true }) {}`. */
export function codedError<Code extends string>(code: Code, { retryable = false } = {}) {
  return class extends CodedError {
    readonly code = code;
    readonly retryable = retryable;
  };
}

/** The first sentence of what `parseArgs` has to say about a command line, without its full stop. */
export function argumentProblem(error: unknown): string {
  return errorMessage(error).split(/\.(?:\s|$)/)[0] ?? '';
}

const MAXIMUM_OBJECT_LENGTH = 1_000;

/**
 * The message of any thrown value, for a log line. Of an object without a text of its own, such as the refusal in a reply
 * over Kafka, its members as JSON, at most 1,000 characters. Never throws.
 */
export function errorMessage(error: unknown): string {
  try {
    const text = String(error instanceof Error ? error.message : error);
    if (typeof error !== 'object' || error === null || text !== Object.prototype.toString.call(error)) return text;
    const members = JSON.stringify(error);
    return members.length <= MAXIMUM_OBJECT_LENGTH ? members : `${members.slice(0, MAXIMUM_OBJECT_LENGTH)} …`;
  } catch {
    return 'the thrown value cannot be read';
  }
}
