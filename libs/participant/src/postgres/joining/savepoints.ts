import { invariant } from '@concordat/foundation';

/** The part of a session that savepoints need. */
export interface SavepointRunner {
  query(text: string): Promise<unknown>;
}

/** A method whose work can be undone alone. */
export interface SavepointOwner {
  readonly parent: SavepointOwner | undefined;
  /** the method that began the transaction has none: its failure aborts everything */
  readonly needsSavepoint: boolean;
}

interface Taken {
  readonly owner: SavepointOwner;
  readonly name: string;
  /** others worked on the session since, so going back to it would undo their work, too */
  isShared: boolean;
  isDone: boolean;
}

/**
 * The savepoints of one session, one for each method that works on it, taken before its first statement.
 *
 * Methods may overlap in time, and savepoints only nest. So a savepoint notices when anybody but its method and those
 * inside it works on the session; then it can no longer be used.
 * A savepoint that is no longer needed is released together with the next statement about savepoints.
 */
export class Savepoints {
  private readonly stack: Taken[] = [];
  private count = 0;
  private releasable: string | undefined;

  constructor(private readonly session: SavepointRunner) {}

  /**
   * Must be called in the same turn as the statement of the method that follows, so that nobody else's comes in between.
   * The savepoint need not be awaited: a session carries statements out in the order of their sending, and one behind a
   * savepoint that failed fails, too.
   */
  enter(owner: SavepointOwner): void {
    const line = lineOf(owner);
    for (const taken of this.stack) if (!line.includes(taken.owner)) taken.isShared = true;
    const missing = line.filter((one) => one.needsSavepoint && !this.find(one)).reverse();
    if (missing.length > 0) this.take(missing);
  }

  /** The method succeeded: its work belongs to the method around it. */
  keep(owner: SavepointOwner): void {
    const taken = this.find(owner);
    if (!taken) return;
    taken.isDone = true;
    this.popDone();
  }

  /** Whether no savepoint is taken. */
  get isEmpty(): boolean {
    return this.stack.length === 0;
  }

  /** Whether the method has worked on the session. */
  has(owner: SavepointOwner): boolean {
    return this.find(owner) !== undefined;
  }

  /** Undoes the method's work and nothing else; false when that is not possible. @throws what the database says */
  async undo(owner: SavepointOwner): Promise<boolean> {
    const taken = this.find(owner);
    invariant(taken !== undefined, 'only a method that worked on the session is undone');
    if (taken.isShared) return false;
    // Sent in the turn of the check: a statement of somebody else that comes now is behind it.
    const undone = this.session.query(`ROLLBACK TO SAVEPOINT ${taken.name}`);
    this.releasable = undefined; // savepoints inside it have gone with it
    for (const inner of this.stack.slice(this.stack.indexOf(taken))) inner.isDone = true;
    this.popDone();
    await undone;
    return true;
  }

  private take(owners: readonly SavepointOwner[]): void {
    const names = owners.map(() => `concordat_${++this.count}`);
    const release = this.releasable === undefined ? [] : [`RELEASE SAVEPOINT ${this.releasable}`];
    this.releasable = undefined;
    const text = [...release, ...names.map((name) => `SAVEPOINT ${name}`)].join('; ');
    this.session.query(text).catch(() => undefined); // the statement behind it fails, too
    for (const [index, owner] of owners.entries()) {
      this.stack.push({ owner, name: names[index]!, isShared: false, isDone: false });
    }
  }

  private popDone(): void {
    for (let top = this.stack.at(-1); top?.isDone; top = this.stack.at(-1)) {
      this.stack.pop();
      this.releasable = top.name;
    }
  }

  private find(owner: SavepointOwner): Taken | undefined {
    return this.stack.find((taken) => taken.owner === owner && !taken.isDone);
  }
}

/** The method and those around it, from the inside. */
function lineOf(owner: SavepointOwner): SavepointOwner[] {
  const line: SavepointOwner[] = [];
  for (let one: SavepointOwner | undefined = owner; one; one = one.parent) line.push(one);
  return line;
}

const known = new WeakMap<SavepointRunner, Savepoints>();

/** The savepoints of a session: the same for all that divide its work. */
export function savepointsOf(session: SavepointRunner): Savepoints {
  let savepoints = known.get(session);
  if (!savepoints) known.set(session, (savepoints = new Savepoints(session)));
  return savepoints;
}
