import {
  SeededRandom,
  UuidV7Generator,
  VirtualClock,
  noFailpoints,
  type CodedError,
  type Failpoints,
  type Logger,
} from '@concordat/foundation';
import type { CommitOnePhaseMessage, DecisionMessage, PrepareMessage, VoteMessage } from '@concordat/commit-protocol';
import type { GroupClocks } from '../clocks/group-clocks.js';
import { DEFAULT_TRANSACTION_OPTIONS, type TransactionOptions } from '../options.js';
import { TransactionManager } from '../transaction-manager.js';
import type { BranchRequest, ExecuteRequest, Idempotency, WaitOptions } from '../transactions.api.js';
import { ControlledLog } from './controlled-log.js';
import { RecordingBus } from './recording-bus.js';

export const DECIDED: WaitOptions = { wait: 'decided', waitMs: 30_000 };
export const ENDED: WaitOptions = { wait: 'ended', waitMs: 30_000 };

/** What has become of a promise. */
export interface Watched<T> {
  value: T | undefined;
  error: CodedError | undefined;
  readonly isSettled: boolean;
}

export interface HarnessOptions {
  readonly options?: Partial<TransactionOptions>;
  readonly failpoints?: Failpoints;
  /** whether the node leads from the start, by default it does */
  readonly leading?: boolean;
  /** whether the group was born long ago, by default it was */
  readonly born?: boolean;
  readonly groupClocks?: GroupClocks;
}

/** A transaction manager among fakes: the test is the log, the clock and the participants. */
export class Harness {
  readonly clock = new VirtualClock();
  readonly log: ControlledLog;
  readonly bus = new RecordingBus();
  readonly alerts: string[] = [];
  readonly manager: TransactionManager;
  private readonly random = new SeededRandom(11);
  private readonly ids = new UuidV7Generator(() => this.clock.now(), this.random);

  constructor({
    options = {},
    failpoints = noFailpoints,
    leading = true,
    born = true,
    groupClocks,
  }: HarnessOptions = {}) {
    this.log = new ControlledLog(born ? 1 : undefined);
    for (const name of ['bank-a', 'bank-b', 'bank-c']) {
      this.log.apply({ type: 'participant', name, operations: ['credit', 'debit', 'read'], at: this.clock.now() });
    }
    const logger: Logger = {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (message) => void this.alerts.push(message),
    };
    this.manager = new TransactionManager(
      {
        log: this.log,
        bus: this.bus,
        clock: this.clock,
        random: this.random,
        failpoints,
        logger,
        ...(groupClocks && { groupClocks }),
        // `Begin` goes at once, so that a test can hold it up by itself; what waits is tested with its own delay.
        options: { ...DEFAULT_TRANSACTION_OPTIONS, cluster: 'test', beginDelayMs: 0, ...options },
      },
      this.log.lastIndex,
    );
    if (leading) this.log.lead();
  }

  newId(): string {
    return this.ids.next();
  }

  /** Everything that has been begun and needs no time is done. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets time go on, and with it everything that it sets off. */
  async pass(milliseconds: number): Promise<void> {
    await this.settle();
    this.clock.advance(milliseconds);
    await this.settle();
  }

  /** Minute by minute, so that what is proposed meanwhile is applied in its time. */
  async passHours(hours: number): Promise<void> {
    for (let minute = 0; minute < hours * 60; minute++) await this.pass(60_000);
  }

  watch<T>(promise: Promise<T>): Watched<T> {
    const watched = {
      value: undefined as T | undefined,
      error: undefined as CodedError | undefined,
      get isSettled(): boolean {
        return this.value !== undefined || this.error !== undefined;
      },
    };
    promise.then(
      (value) => void (watched.value = value),
      (error: CodedError) => void (watched.error = error),
    );
    return watched;
  }

  /** An active transaction without branches. */
  async begin(timeoutMs = 30_000): Promise<string> {
    const { id } = await this.manager.begin({ protocol: '2pc', timeoutMs, metadata: {} });
    return id;
  }

  async enlist(transactionId: string, participant = 'bank-a', keys: readonly string[] = []): Promise<string> {
    const { branch } = await this.manager.enlist(transactionId, work(participant, 'debit', keys));
    return branch.branchId;
  }

  execute(
    request: ExecuteRequest = transfer(),
    options: WaitOptions = DECIDED,
  ): ReturnType<TransactionManager['execute']> {
    return this.manager.execute(request, options);
  }

  vote(message: PrepareMessage | CommitOnePhaseMessage, vote: VoteMessage['vote'], code?: string): void {
    const { transactionId, branchId, participant, operations } = message;
    this.manager.onReply({
      type: 'vote',
      transactionId,
      branchId,
      participant,
      vote,
      results: vote === 'no' ? [] : operations.map(() => ({ by: participant })),
      ...(code !== undefined && { error: { code, message: `${participant} says ${code}` } }),
    });
  }

  /** Every prepare that was sent so far is answered with the same vote; what was sent is forgotten. */
  async answerPrepares(vote: VoteMessage['vote'], code?: string): Promise<void> {
    await this.settle();
    const prepares = this.bus.of('prepare');
    this.bus.forget();
    for (const prepare of prepares) this.vote(prepare, vote, code);
    await this.settle();
  }

  done(message: DecisionMessage | CommitOnePhaseMessage, end: 'committed' | 'aborted' | 'read-only'): void {
    const { transactionId, branchId, participant } = message;
    this.manager.onReply({ type: 'done', transactionId, branchId, participant, end });
  }

  /** Every decision that was sent so far is obeyed and that is logged; what was sent is forgotten. */
  async obeyDecisions(): Promise<void> {
    await this.settle();
    const decisions = this.bus.of('decision');
    this.bus.forget();
    for (const decision of decisions) this.done(decision, decision.decision === 'commit' ? 'committed' : 'aborted');
    await this.pass(DEFAULT_TRANSACTION_OPTIONS.doneDelayMs);
  }

  inquire(transactionId: string, participant = 'bank-a', branchId = this.newId()): string {
    const gid = `concordat:test:${transactionId}:${branchId}`;
    this.manager.onReply({ type: 'inquiry', transactionId, branchId, participant, gid });
    return branchId;
  }

  /** A transfer that has committed and ended; its id. */
  async committed(idempotency?: Idempotency): Promise<string> {
    const answer = this.watch(this.execute(transfer(idempotency)));
    await this.answerPrepares('yes');
    await this.obeyDecisions();
    return answer.value!.transaction.id;
  }

  /** Types of the records applied for a transaction. */
  recordsOf(transactionId: string): string[] {
    return this.log.applied
      .filter(({ result }) => result.transactions.some((transaction) => transaction.transactionId === transactionId))
      .map(({ record }) => record.type);
  }
}

export function work(participant: string, operation = 'debit', keys: readonly string[] = []): BranchRequest {
  return { participant, operation, payload: { account: 'acc-1', amount: 1 }, keys };
}

/** A request with a branch at bank-a and one at bank-b. */
export function transfer(idempotency?: Idempotency, keys: readonly string[] = []): ExecuteRequest {
  return {
    protocol: '2pc',
    timeoutMs: 30_000,
    metadata: {},
    branches: [work('bank-a', 'debit', keys), work('bank-b', 'credit', keys)],
    ...(idempotency && { idempotency }),
  };
}

export function key(name: string, bodyHash = `hash of ${name}`): Idempotency {
  return { key: name, bodyHash };
}
