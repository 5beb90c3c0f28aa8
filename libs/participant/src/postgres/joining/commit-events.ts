import type { DataSource, ObjectLiteral, QueryRunner } from 'typeorm';
import type { JoinableWork } from './joinable-work.js';
import { JoinedClient } from './joined-client.js';
import { replaceMethod, type Leave } from './replace-method.js';

type Mode = Parameters<DataSource['createQueryRunner']>[0];

/** The end of a transaction, as TypeORM calls it. */
type End = 'AfterTransactionCommit' | 'AfterTransactionRollback';

/** What tells the subscribers of TypeORM, an own method of each query runner. */
interface Broadcasting {
  broadcast(event: string, ...rest: unknown[]): Promise<void>;
}

/**
 * Lets the subscribers of a DataSource hear of the end of a transaction when it is true: inside a global transaction the
 * COMMIT of TypeORM keeps a savepoint, so `afterTransactionCommit` waits for the global commit, and is
 * `afterTransactionRollback` if there is none. Where nobody learns the decision, in the handler of a one-shot operation,
 * neither is called.
 */
export function deferCommitEvents(dataSource: DataSource): Leave {
  const target = dataSource as { createQueryRunner: (mode?: Mode) => QueryRunner };
  return replaceMethod(target, 'createQueryRunner', (create) => (mode) => {
    const runner = create(mode);
    defer(runner, () => create(mode));
    return runner;
  });
}

function defer(runner: QueryRunner, another: () => QueryRunner): void {
  /** commits that are not told yet, for each open transaction of the runner, the outermost first */
  const open: number[] = [];
  let work: JoinableWork | undefined;
  const committed = (): void => {
    const count = (open.pop() ?? 0) + 1;
    const around = open.length - 1;
    if (around >= 0) open[around] = open[around]! + count;
    else work?.afterDecision?.((outcome) => tell(another(), runner.data, END_OF[outcome], count));
  };
  const broadcaster = runner.broadcaster as unknown as Broadcasting;
  replaceMethod(broadcaster, 'broadcast', (broadcast) => async (event, ...rest) => {
    if (event === 'AfterTransactionStart') {
      if (open.length === 0) work = await joinedWorkOf(runner);
      open.push(0);
    }
    if (event === 'AfterTransactionRollback') open.pop();
    if (event === 'AfterTransactionCommit' && work) return committed();
    if (event === 'AfterTransactionCommit') open.pop();
    return broadcast(event, ...rest);
  });
}

const END_OF: Readonly<Record<'committed' | 'aborted', End>> = {
  committed: 'AfterTransactionCommit',
  aborted: 'AfterTransactionRollback',
};

/** The connection of a runner never changes. */
async function joinedWorkOf(runner: QueryRunner): Promise<JoinableWork | undefined> {
  const connection = (await runner.connect()) as unknown;
  return connection instanceof JoinedClient ? connection.runningWork : undefined;
}

/** By a runner that can still be used, because the one of the transaction has been released; it has the same data. */
async function tell(runner: QueryRunner, data: ObjectLiteral, event: End, count: number): Promise<void> {
  runner.data = data;
  try {
    for (let told = 0; told < count; told++) await runner.broadcaster.broadcast(event);
  } finally {
    await runner.release();
  }
}
