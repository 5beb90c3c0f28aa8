import type { Cluster } from '../model/cluster.js';
import type { Branch, Transaction } from '../model/transaction.js';

export const TRANSACTION_ID = '0198a8c0-0000-7000-8000-000000000001';
export const BRANCH_ID = '0198a8c0-0000-4000-8000-000000000002';

export function sampleBranch(fields: Partial<Branch> = {}): Branch {
  return { branchId: BRANCH_ID, participant: 'bank-a', operations: [], vote: null, state: 'enlisted', ...fields };
}

export function sampleTransaction(fields: Partial<Transaction> = {}): Transaction {
  return {
    id: TRANSACTION_ID,
    protocol: '2pc',
    status: 'active',
    decision: null,
    outcome: null,
    reason: null,
    branches: [],
    metadata: {},
    warnings: [],
    rulings: [],
    createdAt: '2026-01-01T00:00:00.000Z',
    deadline: '2026-01-01T00:00:30.000Z',
    decidedAt: null,
    endedAt: null,
    logIndex: 7,
    ...fields,
  };
}

export const committed: Partial<Transaction> = {
  status: 'committing',
  decision: 'commit',
  outcome: 'committed',
  decidedAt: '2026-01-01T00:00:01.000Z',
};

export function sampleCluster(fields: Partial<Cluster> = {}): Cluster {
  return {
    clusterName: 'local',
    directAddress: null,
    clusterId: 'c',
    nodeId: 1,
    incarnation: 'i',
    standing: 'member',
    obstacle: null,
    forgetful: [],
    leaderId: 1,
    term: 2,
    commitIndex: 10,
    appliedIndex: 10,
    lastIndex: 10,
    changing: false,
    transferTarget: null,
    diskFullReason: null,
    refusedMessages: 0,
    misdirectedMessages: 0,
    members: [],
    ...fields,
  };
}
