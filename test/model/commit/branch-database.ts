import { InvariantError } from '@concordat/foundation';
import type {
  AcceptorState,
  BallotAnswer,
  BallotRequest,
  BranchEnd,
  Decision,
  OpenedBallot,
  Vote,
} from '@concordat/commit-protocol';

/** What the resource manager has the database do in one step; the last four are of three phases. */
export type DatabaseOperation =
  | { readonly type: 'prepare' | 'one-phase' | 'commit' | 'abort' }
  /** after the work: the vote goes on record, before it leaves */
  | { readonly type: 'record-vote'; readonly vote: Vote }
  /** a `no` is on record: the tombstone follows, before anything is said of it */
  | { readonly type: 'abort-alone'; readonly answer: DatabaseAnswer }
  | { readonly type: 'answer-ballot'; readonly request: BallotRequest }
  /** what was prepared is rolled back, because the vote on record is read-only */
  | { readonly type: 'undo' | 'open-ballot' };

/** What an operation came to. */
export type DatabaseAnswer =
  | { readonly type: 'voted'; readonly vote: Vote }
  | { readonly type: 'concluded' | 'ended'; readonly end: BranchEnd }
  | { readonly type: 'ballot-answered'; readonly answer: BallotAnswer }
  | { readonly type: 'ballot-opened'; readonly opened: OpenedBallot }
  /** nothing may be said */
  | { readonly type: 'unknown' }
  /** this step is durable, and the resource manager goes on with another one */
  | { readonly type: 'continues'; readonly with: DatabaseOperation };

/**
 * The database of one branch with its resource manager (protocol section 5). Everything here is durable. An
 * operation is one step: what PostgreSQL does between its statements has tests of its own.
 *
 * It is a model of its own beside `test/support/modelled-database`, because the explorer copies and compares millions
 * of states: rows with results and errors would make different states of what is the same here, and work that has
 * begun is a generator there, which cannot be copied; here it is data. The mistakes override single steps of it.
 *
 * An operation whose process died, or whose connection broke, is `late`: the database may still carry it out at
 * any time, or never. As long as late work holds its lock on the branch, no other work of the branch begins.
 */
export class BranchDatabase {
  /** work is prepared and waits for the decision */
  prepared = false;
  ledger: 'committed' | 'aborted' | undefined;
  /** the tombstone is there because the decision was told */
  isDecided = false;
  /** it has lost everything, at some time */
  hasForgotten = false;
  /** it knows that, and says nothing as an acceptor any more */
  abstains = false;
  /** how often the work of the branch took effect */
  effects = 0;
  endedByHand: Decision | undefined;
  late: DatabaseOperation | undefined;

  /** What it is on record with as an acceptor, in three phases. */
  get acceptor(): Readonly<AcceptorState> | undefined {
    return undefined;
  }

  /** Whether it waits for the decision, and is on record: one that voted read-only can only inquire. */
  get mayOpenBallot(): boolean {
    return !this.abstains && this.prepared && this.acceptor !== undefined && this.acceptor.vote !== 'read-only';
  }

  /** Whether a handler must run for an operation, so that its answer is open. */
  runsHandler(operation: DatabaseOperation): boolean {
    return isWork(operation) && !this.prepared && this.ledger === undefined;
  }

  /** Whether an operation would have to wait for late work. */
  isOccupied(operation: DatabaseOperation): boolean {
    return isWork(operation) && isWork(this.late);
  }

  /** @param inclination what the handler comes to, if it must run */
  execute(operation: DatabaseOperation, inclination: Vote): DatabaseAnswer {
    switch (operation.type) {
      case 'prepare':
        return { type: 'voted', vote: this.prepare(inclination) };
      case 'one-phase':
        return { type: 'concluded', end: this.commitOnePhase(inclination) };
      case 'commit':
        return { type: 'ended', end: this.commit() };
      case 'abort':
        return { type: 'ended', end: this.abort() };
      case 'record-vote':
      case 'abort-alone':
      case 'answer-ballot':
      case 'undo':
      case 'open-ballot':
        throw new InvariantError(`${operation.type} is an operation of three phases`);
    }
  }

  /** The process that waits for an operation is gone; what it did before is lost with it. */
  abandon(operation: DatabaseOperation): void {
    this.late = operation;
  }

  /** The late operation is carried out, or is not. Its handler's process is dead, so nobody writes a tombstone for it. */
  settleLate(carriedOut: boolean): void {
    const { late } = this;
    this.late = undefined;
    if (carriedOut && late) this.execute(late, 'yes');
  }

  /** A fail-over to a standby that had none of it. @param isNoticed whether the participant knows that it is another one */
  forget(isNoticed: boolean): void {
    this.prepared = false;
    this.ledger = undefined;
    this.isDecided = false;
    this.effects = 0;
    this.late = undefined;
    this.hasForgotten = true;
    this.abstains = isNoticed;
  }

  /** An operator ends the prepared branch in the database, whatever the decision is. */
  endByHand(decision: Decision): void {
    this.prepared = false;
    this.endedByHand = decision;
    if (decision === 'commit') this.takeEffect();
  }

  protected prepare(inclination: Vote): Vote {
    if (this.prepared || this.ledger === 'committed') return 'yes';
    if (this.ledger === 'aborted') return 'no';
    if (inclination === 'yes') this.prepared = true;
    else if (inclination === 'no') this.writeTombstone();
    return inclination;
  }

  protected commitOnePhase(inclination: Vote): BranchEnd {
    if (this.ledger) return this.ledger;
    if (inclination === 'read-only') return 'read-only';
    if (inclination === 'yes') this.takeEffect();
    else this.writeTombstone();
    return this.ledger ?? 'aborted';
  }

  protected commit(): BranchEnd {
    if (this.prepared) {
      this.prepared = false;
      this.takeEffect();
    }
    return this.ledger === 'committed' ? 'committed' : 'heuristic-rollback';
  }

  protected abort(): BranchEnd {
    const end = this.rollBack();
    this.isDecided ||= end === 'aborted';
    return end;
  }

  /** With a tombstone that says nothing of the decision. */
  protected rollBack(): BranchEnd {
    this.prepared = false;
    if (this.ledger === 'committed') return 'heuristic-commit';
    this.writeTombstone();
    return 'aborted';
  }

  protected writeTombstone(): void {
    this.ledger = 'aborted';
  }

  protected takeEffect(): void {
    this.ledger = 'committed';
    this.effects++;
  }
}

/** Whether an operation holds the lock on its branch while it runs. */
export function isWork(operation: DatabaseOperation | undefined): boolean {
  return operation?.type === 'prepare' || operation?.type === 'one-phase';
}
