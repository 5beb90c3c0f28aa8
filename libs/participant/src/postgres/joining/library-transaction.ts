import { ForbiddenStatementError } from '../errors.js';
import type { JoinableWork, NestedWork } from './joinable-work.js';
import { sharedSessionOf } from './shared-session.js';
import type { TransactionWishes } from './transaction-command.js';

interface Part {
  /** of the savepoint, as the library calls it; undefined for the transaction itself */
  readonly name: string | undefined;
  readonly work: NestedWork;
}

/**
 * A transaction that a library began inside a global one: a part of the work around it, with the library's savepoints
 * as parts inside.
 *
 * States: open → ended. Invariant: the first part is the transaction; each further part lies in the one before it.
 */
export class LibraryTransaction {
  private readonly parts: Part[];
  private readOnly = false;

  /** @param isWhole it stands for all of the work around it, which the library cannot end */
  constructor(
    private readonly outer: JoinableWork,
    isWhole: boolean,
  ) {
    this.parts = isWhole ? [] : [{ name: undefined, work: outer.nested() }];
  }

  /** What the library's next statement belongs to. */
  get work(): JoinableWork {
    return this.parts.at(-1)?.work ?? this.outer;
  }

  /** @throws ForbiddenStatementError when the session cannot meet the wishes */
  async apply({ isolation, isReadOnly }: TransactionWishes): Promise<void> {
    if (isolation) await sharedSessionOf(this.outer).requireIsolation(isolation, this.work);
    if (isReadOnly === true && !this.readOnly) {
      await this.work.query('SET TRANSACTION READ ONLY');
      this.readOnly = true;
    }
    if (isReadOnly === false && this.readOnly) {
      throw new ForbiddenStatementError('a transaction that is read-only cannot become one that writes');
    }
  }

  savepoint(name: string): void {
    this.parts.push({ name, work: this.work.nested() });
  }

  /** Keeps the work since the savepoint, and forgets the savepoint and those after it. */
  async release(name: string): Promise<void> {
    await this.endAfter(this.find(name) - 1, (work) => work.keep());
  }

  /** Undoes the work since the savepoint, which stays. */
  async rollBackTo(name: string): Promise<void> {
    await this.endAfter(this.find(name) - 1, (work) => work.undo());
    this.savepoint(name);
  }

  /** Ends it. @throws when the database refused one of its statements; nothing of it is left then */
  async commit(): Promise<void> {
    // Going back to its savepoint is what makes the session writable again; there is nothing to lose.
    await (this.readOnly ? this.rollBack() : this.endAfter(-1, (work) => work.keep()));
  }

  /** Ends it. @throws when others worked on the session since; the global transaction can only abort then */
  async rollBack(): Promise<void> {
    await this.endAfter(-1, (work) => work.undo());
  }

  private find(name: string): number {
    const index = this.parts.findLastIndex((part) => part.name === name);
    if (index >= 0) return index;
    throw new ForbiddenStatementError(`there is no savepoint "${name}" in this transaction`);
  }

  /** Ends the parts behind the index, the innermost first; all of them, and by undoing them once one fails. */
  private async endAfter(index: number, end: (work: NestedWork) => Promise<void>): Promise<void> {
    const failures: unknown[] = [];
    for (const { work } of this.parts.splice(index + 1).reverse()) {
      try {
        await (failures.length > 0 ? work.undo() : end(work));
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
