import { guarded } from '@concordat/foundation';
import type { CustomTypesConfig, Pool, PoolClient } from 'pg';
import { noteAsked } from './asking.js';
import type { CurrentWork } from './joinable-work.js';
import { JoinedClient } from './joined-client.js';
import { OutsideUse, type JoiningOptions } from './outside-use.js';
import { replaceMethod, type Leave } from './replace-method.js';

type ConnectCallback = (
  error: Error | undefined,
  client: PoolClient | undefined,
  done: (error?: unknown) => void,
) => void;

type Connect = (callback: ConnectCallback | undefined) => Promise<PoolClient> | undefined;

/** What pools have beside their public types. */
interface PoolInternals {
  readonly options?: { readonly types?: CustomTypesConfig };
}

const watches = new WeakSet<object>();

/** Whether somebody sets up each connection of the pool when it is made. */
export function isSetUpByListeners(pool: Pick<Pool, 'listeners'>): boolean {
  return pool.listeners('connect').some((listener) => !watches.has(listener));
}

/**
 * Makes a pool join: inside a global transaction `connect`, and with it `query`, hands out a client that works on the
 * session of that transaction; everywhere else, and in everything else, it is the user's own pool. It changes the pool
 * itself, so that whatever was given the pool before joins, too.
 *
 * A client that was taken outside the transaction stays a client of the pool; its first use inside one is reported.
 * Clients of other pools are not seen.
 */
export function joinPool(pool: Pool, current: CurrentWork, { onOutsideUse }: JoiningOptions = {}): Leave {
  const { types } = (pool as PoolInternals).options ?? {};
  const leave = replaceMethod(pool, 'connect', (connect) => {
    function joiningConnect(callback?: ConnectCallback): Promise<PoolClient> | undefined {
      noteAsked();
      const work = pool.ending ? undefined : current();
      if (!work) return (connect as Connect)(callback);
      const joined = new JoinedClient(work, { types, current });
      const client = joined as unknown as PoolClient;
      if (!callback) return Promise.resolve(client);
      process.nextTick(callback, undefined, client, joined.release);
      return undefined;
    }
    return joiningConnect;
  });
  if (!onOutsideUse) return leave;
  const outside = new OutsideUse(current, onOutsideUse);
  // what the logger throws is none of the pool's business
  const guardedWatch = guarded(
    (client: PoolClient) => outside.watch(client),
    () => outside.end(),
  );
  watches.add(guardedWatch);
  pool.on('connect', guardedWatch);
  return () => {
    leave();
    outside.end();
    pool.off('connect', guardedWatch);
  };
}
