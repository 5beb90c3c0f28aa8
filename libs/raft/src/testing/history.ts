import { invariant } from '@concordat/foundation';

/** What every operation on a key-value register has: who, which key, and from when to when. */
export interface OperationSpan {
  /** the client; only for the explanation of a violation */
  readonly process: number;
  readonly key: string;
  /**
   * Any scale that all clients share: a clock's milliseconds, or a counter. An operation that returned before
   * another was called precedes it; at equal times they count as concurrent.
   */
  readonly calledAt: number;
  /** undefined: the outcome is unknown, so it may take effect at any time after `calledAt`, or never */
  readonly returnedAt: number | undefined;
}

/** Saw `output`; undefined: the key had no value. What a read with unknown outcome saw does not matter. */
export interface ReadOperation extends OperationSpan {
  readonly kind: 'read';
  readonly output: string | undefined;
}

/** Set the value, whatever it was. */
export interface WriteOperation extends OperationSpan {
  readonly kind: 'write';
  readonly input: string;
}

/** Set the value to `input` if it was `expected` (undefined: if there was none), and answered whether it was. */
export interface CompareAndSetOperation extends OperationSpan {
  readonly kind: 'cas';
  readonly expected: string | undefined;
  readonly input: string;
  /** does not matter while the outcome is unknown */
  readonly ok: boolean;
}

/** Added `input` to the end of the value, or made it the value where there was none. */
export interface AppendOperation extends OperationSpan {
  readonly kind: 'append';
  readonly input: string;
  /** the value afterwards, where the client was told; undefined: it was not */
  readonly output?: string | undefined;
}

/** One call of one client on one key of a key-value store whose keys begin without a value. */
export type Operation = ReadOperation | WriteOperation | CompareAndSetOperation | AppendOperation;

/** What is to be done, without times and answers. */
export type OperationCall =
  | Pick<ReadOperation, 'process' | 'key' | 'kind'>
  | Pick<WriteOperation, 'process' | 'key' | 'kind' | 'input'>
  | Pick<CompareAndSetOperation, 'process' | 'key' | 'kind' | 'expected' | 'input'>
  | Pick<AppendOperation, 'process' | 'key' | 'kind' | 'input'>;

/** What came back: the value that a read saw or an append made, and whether a compare-and-set took place. */
export interface OperationAnswer {
  readonly output?: string | undefined;
  readonly ok?: boolean;
}

/** An operation under way. It ends with at most one of the two calls; with neither, its outcome is unknown. */
export interface OpenOperation {
  returned(answer?: OperationAnswer): void;
  /** It certainly did not and will not take effect: it leaves the history. */
  refused(): void;
}

interface RecordedOperation {
  readonly call: OperationCall;
  readonly calledAt: number;
  end: 'unknown' | 'refused' | { readonly answer: OperationAnswer; readonly returnedAt: number };
}

/**
 * Writes down what the clients of one process do, in the order in which it happens. Its scale is a counter rather
 * than a clock, so that no two events fall on the same moment: the check is as strict as it can be.
 */
export class HistoryRecorder {
  private readonly recorded: RecordedOperation[] = [];
  private moment = 0;

  /** Called just before the request goes out. */
  called(call: OperationCall): OpenOperation {
    const operation: RecordedOperation = { call, calledAt: ++this.moment, end: 'unknown' };
    this.recorded.push(operation);
    const finish = (end: RecordedOperation['end']): void => {
      invariant(operation.end === 'unknown', 'an operation ends once');
      operation.end = end;
    };
    return {
      returned: (answer = {}) => finish({ answer, returnedAt: ++this.moment }),
      refused: () => finish('refused'),
    };
  }

  /** All operations so far but the refused ones; those still under way count as unknown. */
  history(): Operation[] {
    return this.recorded.flatMap(({ call, calledAt, end }) => {
      if (end === 'refused') return [];
      const returnedAt = end === 'unknown' ? undefined : end.returnedAt;
      return [operationOf(call, { calledAt, returnedAt }, end === 'unknown' ? {} : end.answer)];
    });
  }
}

function operationOf(
  call: OperationCall,
  times: Pick<OperationSpan, 'calledAt' | 'returnedAt'>,
  answer: OperationAnswer,
): Operation {
  switch (call.kind) {
    case 'read':
      return { ...call, ...times, output: answer.output };
    case 'write':
      return { ...call, ...times };
    case 'cas':
      return { ...call, ...times, ok: answer.ok ?? false };
    case 'append':
      return { ...call, ...times, output: answer.output };
  }
}
