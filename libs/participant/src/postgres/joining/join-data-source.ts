import type { AsyncLocalStorage } from 'node:async_hooks';
import type { CustomTypesConfig } from 'pg';
import type { DataSource, QueryRunner, ReplicationMode } from 'typeorm';
import { ParticipantConfigurationError } from '../../runtime/errors.js';
import { PARTICIPANT_PACKAGE } from '../../runtime/one-copy.js';
import { noteAsked } from './asking.js';
import { deferCommitEvents } from './commit-events.js';
import type { CurrentWork, JoinableWork } from './joinable-work.js';
import { JoinedClient } from './joined-client.js';
import { OutsideUse, type JoiningOptions } from './outside-use.js';
import { replaceMethod, type Leave } from './replace-method.js';

/** For which work a query runner is connecting, whatever runs around it. */
const binding = PARTICIPANT_PACKAGE.connecting as AsyncLocalStorage<JoinableWork>;

type Connection = [client: unknown, release: (error?: unknown) => void];

/** Where the query runners of TypeORM's PostgreSQL driver get their connections. */
interface ConnectingDriver {
  obtainMasterConnection(): Promise<Connection>;
  obtainSlaveConnection(): Promise<Connection>;
}

/**
 * Makes a DataSource join: inside a global transaction its query runners, and with them its repositories, entity
 * managers and transactions, work on the session of that transaction; everywhere else on its own pool. It may be
 * initialised before or after, and again.
 *
 * Its subscribers hear of the end of a transaction inside a global one when that one is decided.
 *
 * A query runner that had connected outside the transaction stays on its own connection; its first use inside one is
 * reported.
 *
 * @throws ParticipantConfigurationError for another database than PostgreSQL
 */
export function joinDataSource(
  dataSource: DataSource,
  current: CurrentWork,
  { onOutsideUse }: JoiningOptions = {},
): Leave {
  const { type } = dataSource.options;
  if (type !== 'postgres') {
    throw new ParticipantConfigurationError(
      `a DataSource of type "${type}" cannot take part in global transactions: only type "postgres" can`,
    );
  }
  const { types } = (dataSource.options.extra ?? {}) as { readonly types?: CustomTypesConfig };
  const driver = dataSource.driver as unknown as ConnectingDriver;
  const outside = onOutsideUse && new OutsideUse(current, onOutsideUse);
  const joined = (original: () => Promise<Connection>) => async (): Promise<Connection> => {
    noteAsked();
    const work = binding.getStore() ?? current();
    if (!work) {
      const connection = await original();
      outside?.watch(connection[0] as object);
      return connection;
    }
    const client = new JoinedClient(work, { types, current });
    return [client, client.release];
  };
  const leaveMaster = replaceMethod(driver, 'obtainMasterConnection', joined);
  const leaveSlave = replaceMethod(driver, 'obtainSlaveConnection', joined);
  const leaveEvents = deferCommitEvents(dataSource);
  const leaveReads = joinReads(dataSource, () => binding.getStore() ?? current());
  return () => {
    leaveReads();
    leaveEvents();
    outside?.end();
    leaveMaster();
    leaveSlave();
  };
}

/**
 * TypeORM refuses to lock rows by a query runner that has begun no transaction. The ones that it makes for reads alone
 * (`slave`) work in the global transaction, so their locks hold until its end. Those that write still begin one of their
 * own, which is a savepoint.
 */
function joinReads(dataSource: DataSource, current: CurrentWork): Leave {
  const target = dataSource as { createQueryRunner: (mode?: ReplicationMode) => QueryRunner };
  return replaceMethod(target, 'createQueryRunner', (create) => (mode) => {
    const runner = create(mode);
    if (mode === 'slave' && current()) (runner as { isTransactionActive: boolean }).isTransactionActive = true;
    return runner;
  });
}

/** A query runner of a joined DataSource, in a transaction that stands for all of the work. It sends nothing for that. */
export async function bindQueryRunner(dataSource: DataSource, work: JoinableWork): Promise<QueryRunner> {
  const runner = dataSource.createQueryRunner();
  await binding.run(work, async () => runner.connect());
  await runner.startTransaction();
  return runner;
}
