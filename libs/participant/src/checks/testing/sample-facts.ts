import type { CoordinatorFacts } from '../coordinator-facts.js';
import type { DatabaseFacts, LedgerFacts } from '../database-facts.js';

export const LEDGER_VERSION = 11;

const LEDGER: LedgerFacts = {
  schemaExists: true,
  mayUseSchema: true,
  mayCreateInSchema: false,
  version: LEDGER_VERSION,
  exists: true,
  missing: [],
  lacking: [],
  mayAlter: false,
  owner: { cluster: 'local', participant: 'orders' },
  otherSchemas: [],
};

/** A database in which every check finds all well. */
export function databaseFacts({
  ledger,
  ...change
}: Partial<Omit<DatabaseFacts, 'ledger'>> & { readonly ledger?: Partial<LedgerFacts> } = {}): DatabaseFacts {
  return {
    where: 'orders@db:5432/orders',
    serverVersion: 180_004,
    isStandby: false,
    database: 'orders',
    identity: '7/16384',
    role: 'orders',
    isSuperuser: false,
    powers: [],
    schema: 'public',
    maximumPrepared: 128,
    prepared: 1,
    preparingRoles: [],
    maximumConnections: 97,
    roleConnectionLimit: undefined,
    databaseConnectionLimit: undefined,
    openConnections: 10,
    idleInTransactionTimeoutMs: 0,
    idleSessionTimeoutMs: 0,
    transactionTimeoutMs: 0,
    synchronousCommit: 'on',
    pooling: 'direct',
    wire: 'verified',
    isOnThisMachine: false,
    clockDifferenceMs: 0,
    otherSessions: [],
    ...change,
    ledger: { ...LEDGER, ...ledger },
  };
}

/** A coordinator about which nothing is to be said. */
export function coordinatorFacts(change: Partial<CoordinatorFacts> = {}): CoordinatorFacts {
  return {
    url: 'http://node-1:8081',
    isReady: true,
    reasons: [],
    group: {
      clusterName: 'local',
      clusterId: 'c1',
      nodeId: 1,
      leaderId: 2,
      directAddress: '127.0.0.1:7081',
      members: [1, 2, 3].map((nodeId) => ({ nodeId, httpUrl: `http://node-${nodeId}:8081` })),
    },
    clockDifferenceMs: 0,
    ...change,
  };
}
