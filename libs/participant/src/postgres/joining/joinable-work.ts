import type { BranchClient } from '../session/guarded-client.js';

/**
 * The work of a running method on the one session that its transaction has in this process, as the joining pool sees
 * it.
 */
export interface JoinableWork extends BranchClient {
  /** the same object for all work on the session */
  readonly session: object;
  /** where it is known */
  readonly transactionId?: string;
  /** the work that this is a part of */
  readonly parent: JoinableWork | undefined;
  /** a library's transaction stands for all of this work: its BEGIN begins no part, and its COMMIT is refused */
  readonly isWhole?: boolean;
  /** Takes what is needed so that this work can be undone alone. Other work on the session is then not any more. */
  enter(): Promise<unknown>;
  /** Calls the hook once the decision is known for this work; absent where nobody in this process learns it. */
  afterDecision?(hook: (outcome: 'committed' | 'aborted') => Promise<void>): void;
  /** Begins a part of this work. The database learns of it with the part's first statement. */
  nested(): NestedWork;
}

/** A part of the work that can be undone alone. It ends with `keep` or `undo`; each may be called once. */
export interface NestedWork extends JoinableWork {
  /** The part belongs to the work around it from now on. @throws when the database refused one of its statements */
  keep(): Promise<void>;
  /**
   * The database forgets the part.
   *
   * @throws when it cannot, because others worked on the session since; then the whole transaction can only abort
   */
  undo(): Promise<void>;
}

/** The work of the method that runs in this asynchronous context; undefined where there is none to join. */
export type CurrentWork = () => JoinableWork | undefined;

interface Divided {
  readonly parent: Divided | undefined;
}

/** Whether one is a part of the other, or the same. */
export function isWithin(part: Divided, whole: Divided): boolean {
  for (let one: Divided | undefined = part; one; one = one.parent) if (one === whole) return true;
  return false;
}
