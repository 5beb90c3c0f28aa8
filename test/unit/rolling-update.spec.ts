import { describe, expect, it, jest } from '@jest/globals';
import {
  CodedError,
  noFailpoints,
  randomChance,
  randomInteger,
  SeededRandom,
  silentLogger,
  VirtualClock,
} from '@concordat/foundation';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { BranchRefusedError, ParticipantRuntime, type OperationHandlers } from '@concordat/participant';
import { DEFAULT_TRANSACTION_OPTIONS, RepliesConsumer, TransactionManager } from '../../apps/coordinator/src/index.js';
import { WatchedLog } from '../fuzz/coordinator/watched-log.js';
import { CLUSTER } from '../simulation/cluster.js';
import type { DatabaseSession } from '../support/modelled-database/database-session.js';
import { GatedBus } from '../simulation/gated-bus.js';
import { ModelledDatabase, type DatabaseObserver } from '../support/modelled-database/modelled-database.js';
import { ModelledResourceManager } from '../support/modelled-database/modelled-resource-manager.js';
import { operate, type OperationPayload } from '../simulation/participant-node.js';
import { SimulatedProcess } from '@concordat/foundation/testing';

jest.setTimeout(30_000);

const BANK = 'bank-a';
const STEADY = 'bank-b';
const OLD = ['credit', 'debit', 'statement'];
const NEW = ['credit', 'debit', 'refund'];
const BOTH = ['credit', 'debit'];

const MINUTE_MS = 60_000;
const SESSION_TIMEOUT_MS = 3_000;
const LOCK_TIMEOUT_MS = 5_000;
const ELECTION_MS = 1_000;
const ACCOUNTS = 16;
const WAIT = { wait: 'decided', waitMs: 30_000 } as const;

const NOBODY: DatabaseObserver = {
  prepared: () => undefined,
  committed: () => undefined,
  rolledBack: () => undefined,
  acceptorSaved: () => undefined,
  lost: () => undefined,
  restored: () => undefined,
};

/** Refuses for good what it does not have, as the SDK's handlers do. */
function serving(operations: readonly string[]): OperationHandlers<DatabaseSession> {
  return {
    operations: () => operations,
    handle: ({ operation, payload }, session) => {
      if (!operations.includes(operation)) throw new BranchRefusedError('UNKNOWN_OPERATION', `no ${operation} here`);
      return operate(session, operation === 'refund' ? 'credit' : operation, payload as unknown as OperationPayload);
    },
  };
}

/** A coordinator whose log is at hand, and processes of participants on one broker and in virtual time. */
class RollingUpdate {
  /** what is known of the participant that is updated, each time it changes */
  readonly known: string[] = [];
  /** when it last changed */
  knownSince = 0;
  /** what became of the requests for the new operation, in the order in which they were made */
  readonly refunds: string[] = [];
  /** of the requests that both versions serve */
  readonly outcomes = new Map<string, number>();
  readonly random: SeededRandom;
  private readonly clock = new VirtualClock();
  private readonly broker: MemoryBroker;
  private readonly log: WatchedLog;
  private readonly manager: TransactionManager;
  private readonly replies: RepliesConsumer;
  private readonly databases = new Map<string, ModelledDatabase>();
  private asked = 0;
  private askedEnough = false;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const { clock } = this;
    const log = new WatchedLog({
      proposed: () => undefined,
      applied: ({ record }) => {
        if (record.type !== 'participant' || record.name !== BANK) return;
        this.known.push([...record.operations].sort().join());
        this.knownSince = this.now;
      },
    });
    this.log = log;
    const faults = { minimumDelayMs: 0, maximumDelayMs: 50 };
    this.broker = new MemoryBroker({ clock, random: this.random.fork(), faults, sessionTimeoutMs: SESSION_TIMEOUT_MS });
    const bus = new GatedBus(
      new MemoryMessageBus(this.broker, { cluster: CLUSTER }),
      new SimulatedProcess('coordinator-1', clock),
      () => undefined,
    );
    this.manager = new TransactionManager({
      log,
      bus,
      clock,
      random: this.random.fork(),
      failpoints: noFailpoints,
      logger: silentLogger,
      options: { ...DEFAULT_TRANSACTION_OPTIONS, cluster: CLUSTER },
    });
    this.replies = new RepliesConsumer(bus, this.manager, 1, silentLogger);
    void this.replies.start();
    this.lead();
  }

  get now(): number {
    return this.clock.monotonic();
  }

  at(afterMs: number, action: () => void): void {
    this.clock.setTimer(afterMs, action);
  }

  boot(participant: string, instance: string, operations: readonly string[]): { leave(): void; kill(): void } {
    const process = new SimulatedProcess(instance, this.clock);
    const bus = new GatedBus(new MemoryMessageBus(this.broker, { cluster: CLUSTER }), process, () => undefined);
    const runtime = new ParticipantRuntime<DatabaseSession>({
      participant,
      instance,
      bus,
      resourceManager: new ModelledResourceManager(CLUSTER, this.database(participant), process, LOCK_TIMEOUT_MS),
      handlers: serving(operations),
      clock: process,
      random: this.random.fork(),
    });
    void bus.start().then(() => runtime.start());
    const leave = async (): Promise<void> => {
      await runtime.stop();
      await bus.stop();
      process.kill();
    };
    return { leave: () => void leave(), kill: () => process.kill() };
  }

  /** The next leader has heard nobody yet, and nothing of what was said before it led. */
  changeLeader(): void {
    this.log.follow();
    this.replies.consume(false);
    this.at(ELECTION_MS, () => this.lead());
  }

  /** Asks for what both versions serve, in one phase and in two, and for what only the new one has. */
  keepAsking(everyMs: number): void {
    if (this.askedEnough) return;
    this.askForBoth();
    this.askForRefund();
    this.at(everyMs, () => this.keepAsking(everyMs));
  }

  stopAsking(): void {
    this.askedEnough = true;
  }

  async pass(durationMs: number): Promise<void> {
    const until = this.now + durationMs;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const due = this.clock.nextDueAt();
      if (due === undefined || due > until) break;
      this.clock.fireNext();
    }
    this.clock.advance(until - this.now);
  }

  private lead(): void {
    this.replies.consume(true);
    this.log.lead();
  }

  private askForBoth(): void {
    const work = [this.work(BANK, this.asked % 3 === 0 ? 'debit' : 'credit')];
    if (this.asked % 2 === 0) work.push(this.work(STEADY, 'credit'));
    void this.execute(work).then((outcome) => this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1));
  }

  private askForRefund(): void {
    const place = this.refunds.push('open') - 1;
    void this.execute([this.work(BANK, 'refund')]).then((outcome) => (this.refunds[place] = outcome));
  }

  private async execute(branches: readonly ReturnType<RollingUpdate['work']>[]): Promise<string> {
    try {
      const request = { protocol: '2pc', timeoutMs: 30_000, metadata: {}, branches } as const;
      const { transaction } = await this.manager.execute(request, WAIT);
      return transaction.cause?.participantCode ?? transaction.reason ?? transaction.outcome ?? 'open';
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return ['LOG_UNAVAILABLE', 'OUTCOME_UNKNOWN', 'UNKNOWN_PARTICIPANT'].includes(error.code)
        ? 'no leader'
        : error.code;
    }
  }

  private work(participant: string, operation: string) {
    const account = `acc-${this.asked++ % ACCOUNTS}`;
    return { participant, operation, payload: { account, amount: 1, intent: '', careless: false }, keys: [] };
  }

  private database(participant: string): ModelledDatabase {
    const known = this.databases.get(participant);
    if (known) return known;
    const database = new ModelledDatabase(participant, this.clock, this.random.fork(), NOBODY);
    for (let account = 0; account < ACCOUNTS; account++) database.balances.set(`acc-${account}`, 1_000);
    this.databases.set(participant, database);
    return database;
  }
}

describe('while a participant is updated one process after the other', () => {
  it.each([1, 2, 3, 4, 5])('nothing flips, and nothing that both versions serve is refused: seed %d', async (seed) => {
    const update = new RollingUpdate(seed);
    const { random } = update;
    const secondsFromTo = (from: number, to: number): number => randomInteger(random, from * 1_000, to * 1_000);
    update.boot(STEADY, 'steady', BOTH);
    const [first, second] = [update.boot(BANK, 'old-1', OLD), update.boot(BANK, 'old-2', OLD)];
    await update.pass(secondsFromTo(20, 40));
    update.keepAsking(1_000);
    for (let change = 0; change < 3; change++) update.at(secondsFromTo(5, 150), () => update.changeLeader());

    const ends = [() => first.leave(), () => second.kill()];
    if (randomChance(random, 0.5)) ends.reverse();
    for (const [place, end] of ends.entries()) {
      update.boot(BANK, `new-${place + 1}`, NEW);
      await update.pass(secondsFromTo(20, 60));
      end();
    }
    await update.pass(2 * MINUTE_MS);
    update.stopAsking();
    await update.pass(MINUTE_MS);

    expect(update.known).toEqual([OLD.join(), BOTH.join(), NEW.join()]);
    expect([...update.outcomes.keys()].filter((outcome) => outcome !== 'no leader')).toEqual(['committed']);
    expect(update.outcomes.get('committed')).toBeGreaterThan(150);
    const refunds = update.refunds.filter((outcome) => outcome !== 'no leader');
    const firstKnown = refunds.indexOf('committed');
    expect(firstKnown).toBeGreaterThan(20);
    expect(new Set(refunds.slice(0, firstKnown))).toEqual(new Set(['UNKNOWN_OPERATION']));
    expect(new Set(refunds.slice(firstKnown))).toEqual(new Set(['committed']));
  });

  it.each([
    ['stopped', 0, 11],
    ['killed', 24, 46],
  ] as const)('a new operation is known soon after the last old process was %s', async (how, earliestS, latestS) => {
    const update = new RollingUpdate(1);
    const old = update.boot(BANK, 'old', OLD);
    update.boot(BANK, 'new', NEW);
    await update.pass(MINUTE_MS);
    expect(update.known.at(-1)).toBe(BOTH.join());
    const end = update.now;
    if (how === 'killed') old.kill();
    else old.leave();
    await update.pass(MINUTE_MS);
    expect(update.known.at(-1)).toBe(NEW.join());
    const tookS = (update.knownSince - end) / 1_000;
    expect(tookS).toBeGreaterThanOrEqual(earliestS);
    expect(tookS).toBeLessThan(latestS);
  });
});
