import { JsonTooLargeError, NotJsonError, fitText, toJsonText, type JsonValue } from '@concordat/foundation';
import { LIMITS } from '@concordat/commit-protocol';
import { BranchRefusedError } from './errors.js';

/**
 * The handlers' results of one branch, as the JSON that the ledger, the messages, the log and the client will hold.
 * Made before the branch is prepared or committed, because afterwards it cannot be refused.
 *
 * `undefined` becomes `null`. A value that JSON cannot represent is refused with `RESULT_NOT_JSON`, too large results
 * with `RESULT_TOO_LARGE`.
 */
export class BranchResults {
  private readonly results: JsonValue[] = [];
  private remainingBytes: number;

  /** @param limitBytes of JSON, for all results of the branch */
  constructor(private readonly limitBytes: number) {
    this.remainingBytes = limitBytes - '[]'.length;
  }

  /** One for each operation, in their order. */
  get taken(): readonly JsonValue[] {
    return this.results;
  }

  /** @throws BranchRefusedError */
  add(operation: string, value: unknown): void {
    const text = value === undefined ? 'null' : this.textOf(operation, value);
    const separatorBytes = this.results.length > 0 ? 1 : 0;
    this.remainingBytes -= Buffer.byteLength(text) + separatorBytes;
    if (this.remainingBytes < 0) this.refuseSize();
    this.results.push(JSON.parse(text) as JsonValue);
  }

  /**
   * Results that come as one list: of work that a service did itself, or from a table.
   *
   * @throws BranchRefusedError
   */
  static of(origin: string, values: unknown, limitBytes: number = LIMITS.resultsBytes): readonly JsonValue[] {
    if (values === undefined) return [];
    if (!Array.isArray(values)) {
      throw new BranchRefusedError('RESULT_NOT_JSON', `${origin} returned no list of results`);
    }
    const results = new BranchResults(limitBytes);
    for (let place = 0; place < values.length; place++) results.add(origin, values[place]);
    return results.taken;
  }

  private textOf(operation: string, value: unknown): string {
    try {
      return toJsonText(value, { depth: LIMITS.jsonDepth, sizeBytes: Math.max(0, this.remainingBytes) });
    } catch (error) {
      if (error instanceof JsonTooLargeError) return this.refuseSize();
      if (!(error instanceof NotJsonError)) throw error;
      const name = fitText(operation, LIMITS.operationNameLength);
      throw new BranchRefusedError('RESULT_NOT_JSON', `the result of ${name} has no JSON: ${error.message}`, {
        cause: error,
      });
    }
  }

  private refuseSize(): never {
    throw new BranchRefusedError(
      'RESULT_TOO_LARGE',
      `the handlers returned more than ${this.limitBytes} bytes of JSON, which is the limit`,
    );
  }
}
