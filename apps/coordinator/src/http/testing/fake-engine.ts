import { Module, type DynamicModule } from '@nestjs/common';
import {
  CLUSTER,
  type ClusterApi,
  type ClusterView,
  type Lack,
  type MemberRequest,
} from '../../cluster/cluster.api.js';
import { LOCKS, type LocksApi } from '../../locks/locks.api.js';
import { TRANSACTIONS } from '../../transactions/transactions.api.js';
import type {
  BeginRequest,
  BranchView,
  Consistency,
  EnlistRequest,
  ExecuteRequest,
  Idempotency,
  InDoubtItem,
  InDoubtQuery,
  InDoubtReading,
  ListQuery,
  MissedEvents,
  Reading,
  Resolution,
  ResolveRequest,
  Settlement,
  TransactionEvent,
  TransactionPage,
  TransactionView,
  TransactionsApi,
  WaitOptions,
} from '../../transactions/transactions.api.js';

export const ID = '01932c07-5a2b-7f13-8c58-0123456789ab';
export const BRANCH_ID = '01932c07-5a2b-7f13-9c58-0123456789ac';

export const branch: BranchView = {
  branchId: BRANCH_ID,
  participant: 'bank-a',
  operations: [{ operation: 'debit', payload: { account: 'acc-1', amount: 5 }, keys: ['acc-1'] }],
  vote: 'yes',
  state: 'committed',
};

export const active: TransactionView = {
  id: ID,
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
};

export const committing: TransactionView = {
  ...active,
  status: 'committing',
  decision: 'commit',
  outcome: 'committed',
  branches: [branch],
  decidedAt: '2026-01-01T00:00:01.000Z',
  logIndex: 8,
};

export const committed: TransactionView = {
  ...committing,
  status: 'committed',
  endedAt: '2026-01-01T00:00:02.000Z',
  logIndex: 9,
};

export const aborted: TransactionView = {
  ...active,
  status: 'aborted',
  decision: 'abort',
  outcome: 'aborted',
  reason: 'PARTICIPANT_REFUSED',
  detail: 'account acc-1 has 3, which is less than 5',
  cause: { branchId: BRANCH_ID, participant: 'bank-a', participantCode: 'INSUFFICIENT_FUNDS' },
  decidedAt: '2026-01-01T00:00:01.000Z',
  endedAt: '2026-01-01T00:00:02.000Z',
  logIndex: 9,
};

@Module({})
class TestEngineModule {}

/** What stands in the place of the `EngineModule`. */
export function engineModule(transactions: TransactionsApi, locks: LocksApi, cluster: ClusterApi): DynamicModule {
  return {
    module: TestEngineModule,
    providers: [
      { provide: TRANSACTIONS, useValue: transactions },
      { provide: LOCKS, useValue: locks },
      { provide: CLUSTER, useValue: cluster },
    ],
    exports: [TRANSACTIONS, LOCKS, CLUSTER],
  };
}

/** A call that reached the engine: its name and its arguments. */
export type EngineCall = readonly [name: string, ...parameters: unknown[]];

/** Answers what a test puts into its fields, notes every call, and throws `failure` instead when it is set. */
export class FakeTransactions implements TransactionsApi {
  readonly calls: EngineCall[] = [];
  failure: Error | undefined;
  view: TransactionView = active;
  settlement: Settlement = { settled: true, transaction: committed };
  resolution: Resolution = { ruling: null, transaction: committed };
  enlisted = { created: true, branch };
  missed: MissedEvents = { kind: 'events', events: [], more: false };
  inDoubtItems: InDoubtItem[] = [];
  leaderKnowsMore = false;
  page: TransactionPage = { items: [committed], nextCursor: null };
  readonly listeners = new Set<(event: TransactionEvent) => void>();
  readonly resetListeners = new Set<(throughIndex: number) => void>();

  begin(request: BeginRequest): Promise<TransactionView> {
    return this.answer(['begin', request], this.view);
  }

  enlist(
    transactionId: string,
    request: EnlistRequest,
    idempotency?: Idempotency,
  ): Promise<{ readonly created: boolean; readonly branch: BranchView }> {
    return this.answer(['enlist', transactionId, request, idempotency], this.enlisted);
  }

  commit(transactionId: string, options: WaitOptions): Promise<Settlement> {
    return this.answer(['commit', transactionId, options], this.settlement);
  }

  abort(transactionId: string, options: WaitOptions): Promise<Settlement> {
    return this.answer(['abort', transactionId, options], this.settlement);
  }

  resolve(transactionId: string, request: ResolveRequest): Promise<Resolution> {
    return this.answer(['resolve', transactionId, request], this.resolution);
  }

  execute(request: ExecuteRequest, options: WaitOptions): Promise<Settlement> {
    return this.answer(['execute', request, options], this.settlement);
  }

  get(transactionId: string, consistency: Consistency): Promise<Reading<TransactionView>> {
    return this.answer(['get', transactionId, consistency], this.reading(this.view));
  }

  list(query: ListQuery, consistency: Consistency): Promise<Reading<TransactionPage>> {
    return this.answer(['list', query, consistency], this.reading(this.page));
  }

  inDoubt(consistency: Consistency, query?: InDoubtQuery): Promise<InDoubtReading> {
    const reading = { ...this.reading<readonly InDoubtItem[]>(this.inDoubtItems), nextCursor: ID };
    return this.answer(['inDoubt', consistency, query], reading);
  }

  subscribe(listener: (event: TransactionEvent) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  onReset(listener: (throughIndex: number) => void): () => void {
    this.resetListeners.add(listener);
    return () => void this.resetListeners.delete(listener);
  }

  missedSince(logIndex: number): MissedEvents {
    this.calls.push(['missedSince', logIndex]);
    return this.missed;
  }

  publish(transaction: TransactionView): void {
    for (const listener of this.listeners) listener({ logIndex: transaction.logIndex, transaction });
  }

  /** A snapshot replaces the state. */
  reset(throughIndex: number): void {
    for (const listener of this.resetListeners) listener(throughIndex);
  }

  private reading<Value>(value: Value): Reading<Value> {
    return { value, appliedIndex: 41, leaderKnowsMore: this.leaderKnowsMore };
  }

  private async answer<Value>(call: EngineCall, value: Value): Promise<Value> {
    this.calls.push(call);
    if (this.failure) throw this.failure;
    return value;
  }
}

/** A node that leads unless a test says otherwise. */
export class FakeCluster implements ClusterApi {
  leads = true;
  leaderUrl: string | undefined;
  lacking: Lack[] = [];
  outside: string | undefined;
  added = true;
  failure: Error | undefined;
  readonly calls: EngineCall[] = [];
  waits: number[] = [];
  /** what happens while somebody waits for a leader */
  onWait: () => void = () => undefined;

  view(): ClusterView {
    return {
      clusterName: 'test',
      directAddress: null,
      clusterId: '00000000c0de',
      nodeId: 1,
      incarnation: '000000000001',
      standing: 'member',
      obstacle: null,
      forgetful: [],
      leaderId: this.leads ? 1 : null,
      term: 3,
      commitIndex: 42,
      appliedIndex: 41,
      lastIndex: 42,
      changing: false,
      transferTarget: null,
      diskFullReason: null,
      refusedMessages: 0,
      misdirectedMessages: 0,
      members: [
        {
          nodeId: 1,
          role: 'voter',
          state: this.leads ? 'leader' : 'follower',
          raftUrl: '127.0.0.1:9081',
          httpUrl: 'http://127.0.0.1:8081',
          matchIndex: 42,
          lag: null,
          replication: null,
          healthy: true,
          incarnation: '000000000001',
          returning: false,
          connection: null,
        },
      ],
    };
  }

  isLeader(): boolean {
    return this.leads;
  }

  currentView(): Promise<ClusterView> {
    return Promise.resolve(this.view());
  }

  exclusion(): string | undefined {
    return this.outside;
  }

  leaderHttpUrl(): string | undefined {
    return this.leads ? undefined : this.leaderUrl;
  }

  async waitForLeader(timeoutMs: number): Promise<boolean> {
    this.waits.push(timeoutMs);
    this.onWait();
    return this.leads || this.leaderUrl !== undefined;
  }

  lacks(): readonly Lack[] {
    return this.lacking;
  }

  setMember(request: MemberRequest, waitMs: number): Promise<{ added: boolean; view: ClusterView }> {
    return this.change(['setMember', request, waitMs], { added: this.added, view: this.view() });
  }

  removeMember(nodeId: number): Promise<ClusterView> {
    return this.change(['removeMember', nodeId], this.view());
  }

  transferLeadership(nodeId: number): Promise<ClusterView> {
    return this.change(['transferLeadership', nodeId], this.view());
  }

  private async change<Value>(call: EngineCall, value: Value): Promise<Value> {
    this.calls.push(call);
    if (this.failure) throw this.failure;
    return value;
  }
}
