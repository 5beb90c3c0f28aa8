import { ForbiddenStatementError } from '../errors.js';
import type { JoinableWork } from './joinable-work.js';
import type { IsolationLevel } from './transaction-command.js';
import { Turns } from './turns.js';

const STRENGTH: Readonly<Record<IsolationLevel, number>> = {
  'READ UNCOMMITTED': 0,
  'READ COMMITTED': 0, // PostgreSQL has no weaker one
  'REPEATABLE READ': 1,
  SERIALIZABLE: 2,
};

/** What all that works on one session has in common. */
export class SharedSession {
  readonly turns = new Turns();
  private level: Promise<IsolationLevel> | undefined;

  /**
   * The isolation level of a session is fixed by its first statement, so a library's wish is met by it or refused.
   *
   * @throws ForbiddenStatementError
   */
  async requireIsolation(wished: IsolationLevel, work: JoinableWork): Promise<void> {
    if (STRENGTH[wished] === 0) return;
    const level = await (this.level ??= readLevel(work));
    if (STRENGTH[level] >= STRENGTH[wished]) return;
    throw new ForbiddenStatementError(
      `a transaction asks for ${wished} and is part of a global transaction, whose session runs with ${level}; drop the ` +
        `level, or set default_transaction_isolation to '${wished.toLowerCase()}' for the participant's database role`,
    );
  }
}

async function readLevel(work: JoinableWork): Promise<IsolationLevel> {
  const { rows } = await work.query<{ level: string }>("SELECT current_setting('transaction_isolation') AS level");
  return rows[0]?.level.toUpperCase() as IsolationLevel;
}

const sessions = new WeakMap<object, SharedSession>();

export function sharedSessionOf({ session }: JoinableWork): SharedSession {
  let shared = sessions.get(session);
  if (!shared) sessions.set(session, (shared = new SharedSession()));
  return shared;
}
