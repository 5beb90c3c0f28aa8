import { AsyncLocalStorage } from 'node:async_hooks';
import type { TransactionalAdapter, TransactionalAdapterOptions } from '@nestjs-cls/transactional';
import { Asking, GlobalConfigurationError, type GlobalTransactions } from '@concordat/participant';
import type { ConnectionOptions } from '../connection-name.js';
import { tokensOf } from '../global/connection.js';

type Work = () => Promise<unknown>;

const HOOKS = [
  'onModuleInit',
  'onModuleDestroy',
  'onApplicationBootstrap',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
] as const;

/**
 * An adapter of nestjs-cls around the user's own: `new ClsPluginTransactional({ adapter: joiningAdapter(adapter) })`.
 * Transactions join without it. With it, inside a global transaction,
 *
 * - one that its library begins on a pool that does not join is refused, instead of committing by itself;
 * - `Propagation.RequiresNew` inside a `@Transactional()` method is independent of the global transaction.
 *
 * Everywhere else it is the user's adapter.
 */
export function joiningAdapter<Connection, Transaction, Options>(
  adapter: TransactionalAdapter<Connection, Transaction, Options>,
  { connectionName }: ConnectionOptions = {},
): TransactionalAdapter<Connection, Transaction, Options> {
  const { extraProviderTokens = [], connectionToken, connection, defaultTxOptions, supportsTransactionProxy } = adapter;
  const hooks = HOOKS.filter((name) => adapter[name]).map((name) => [name, () => adapter[name]?.()] as const);
  return {
    ...Object.fromEntries(hooks),
    ...(connectionToken !== undefined && { connectionToken: connectionToken as unknown }),
    ...(connection !== undefined && { connection }),
    ...(defaultTxOptions && { defaultTxOptions }),
    ...(supportsTransactionProxy !== undefined && { supportsTransactionProxy }),
    extraProviderTokens: [...extraProviderTokens, tokensOf(connectionName).transactions as never],
    optionsFactory: (given, providers: unknown[]) => {
      const transactions = providers.at(-1) as GlobalTransactions;
      return joining(adapter.optionsFactory(given, providers.slice(0, -1)), transactions);
    },
  };
}

function joining<Transaction, Options>(
  own: TransactionalAdapterOptions<Transaction, Options>,
  transactions: GlobalTransactions,
): TransactionalAdapterOptions<Transaction, Options> {
  /** the global transaction in which a method with a transaction of nestjs-cls is running */
  const within = new AsyncLocalStorage<object | undefined>();
  return {
    ...own,
    wrapWithTransaction: (options, work, setTx) => {
      const transaction = transactions.currentScope()?.transaction;
      if (!transaction) return own.wrapWithTransaction(options, work, setTx);
      // the plug-in begins a second one only for RequiresNew, or inside NotSupported
      if (within.getStore() === transaction) {
        return transactions.suspend(() => own.wrapWithTransaction(options, work, setTx));
      }
      const asking = new Asking();
      const checked: Work = async () => {
        if (!asking.isSeen) refuse(transactions);
        return within.run(transaction, work as Work);
      };
      return asking.during(() => own.wrapWithTransaction(options, checked, setTx));
    },
  };
}

/** @throws GlobalConfigurationError always; who catches it cannot commit */
function refuse(transactions: GlobalTransactions): never {
  const message =
    '@Transactional() has begun a transaction on a connection that does not join, so its work would commit by itself; ' +
    'give ConcordatModule the pool or DataSource of its adapter, as postgres or in joining';
  transactions.current()?.setRollbackOnly(message);
  throw new GlobalConfigurationError(message);
}
