import type { CustomTypesConfig, Pool, PoolClient } from 'pg';
import type { CurrentWork } from './joinable-work.js';
import { JoinedClient } from './joined-client.js';

/** Ends the joining: the pool is as it was before. */
export type Leave = () => void;

type ConnectCallback = (
  error: Error | undefined,
  client: PoolClient | undefined,
  done: (error?: unknown) => void,
) => void;

/** What pools have beside their public types. */
interface PoolInternals {
  readonly options?: { readonly types?: CustomTypesConfig };
}

/**
 * Makes a pool join: inside a global transaction `connect`, and with it `query`, hands out a client that works on the
 * session of that transaction; everywhere else, and in everything else, it is the user's own pool. It changes the pool
 * itself, so that whatever was given the pool before joins, too.
 *
 * A client that was taken outside the transaction stays a client of the pool. Clients of other pools are not seen.
 */
export function joinPool(pool: Pool, current: CurrentWork): Leave {
  const own = Object.getOwnPropertyDescriptor(pool, 'connect');
  const connect = pool.connect.bind(pool) as (callback?: ConnectCallback) => Promise<PoolClient> | undefined;
  const { types } = (pool as PoolInternals).options ?? {};
  let isJoining = true;

  function joiningConnect(callback?: ConnectCallback): Promise<PoolClient> | undefined {
    const work = isJoining && !pool.ending ? current() : undefined;
    if (!work) return callback ? connect(callback) : connect();
    const joined = new JoinedClient(work, { types, current });
    const client = joined as unknown as PoolClient;
    if (!callback) return Promise.resolve(client);
    process.nextTick(callback, undefined, client, joined.release);
    return undefined;
  }

  pool.connect = joiningConnect as Pool['connect'];
  return () => {
    isJoining = false;
    if (pool.connect !== joiningConnect) return; // somebody joined it after this; it only passes calls on from now on
    if (own) Object.defineProperty(pool, 'connect', own);
    else delete (pool as Partial<Pool>).connect;
  };
}
