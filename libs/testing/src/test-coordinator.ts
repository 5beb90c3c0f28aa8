import {
  SeededRandom,
  SystemClock,
  SystemRandom,
  errorMessage,
  type Clock,
  type Logger,
  type Tracing,
} from '@concordat/foundation';
import { CoordinatorDownError, EmbeddedCoordinator, type TransactionView } from 'concordat/embedded';
import { InvalidArgumentError, TransactionsOpenError, UnknownNameError, WaitedInVainError } from './errors.js';
import { describeOpen, openTransaction, type OpenTransaction, type PreparedTransaction } from './open-transactions.js';
import { CrashPoints, type CrashPoint } from './switches/crash-points.js';
import { LockSwitches } from './lock-switches.js';
import { DoomedTransactions, type AbortRequest } from './switches/doomed-transactions.js';
import { FaultyBus } from './switches/faulty-bus.js';
import { FaultyLocks } from './switches/faulty-locks.js';
import { LockRules } from './switches/lock-rules.js';
import { MESSAGE_KINDS, type Direction, type MessageKind } from './switches/message-kinds.js';
import { MessageRules, type Delay } from './switches/message-rules.js';
import type { Switch } from './switches/switch.js';
import { lookFor } from './wait.js';

const DEFAULT_WITHIN_MS = 10_000;
const PAGE = 500;

export interface TestCoordinatorOptions {
  /** name of the cluster; default `local`, as for participants. Coordinators that share a database need different ones */
  readonly cluster?: string;
  /** variables of a coordinator (docs/operations.md), such as `CONCORDAT_IN_DOUBT_AFTER_MS` */
  readonly environment?: Readonly<Record<string, string>>;
  /** draws the delays of `delay`, so that a run can be repeated; default: other ones each time */
  readonly seed?: number;
  /** default: nothing is logged */
  readonly logger?: Logger;
  /** such as `openTelemetry()` of `@concordat/nestjs/opentelemetry`: gets the coordinator's spans; default: none */
  readonly tracing?: Tracing;
}

export interface LossOptions {
  /**
   * how many messages are lost, of any transactions; default: all of the next transaction, also when they are sent again
   */
  readonly times?: number;
}

export interface CrashOptions {
  /** how long it is down, in milliseconds, default 0; `false`: until `recover()` is called */
  readonly recoverAfterMs?: number | false;
}

export interface WithinOptions {
  /** how long to wait, in milliseconds; default 10,000 */
  readonly withinMs?: number;
}

export interface NothingInDoubtOptions extends WithinOptions {
  /** databases that must hold no prepared transaction of this cluster, such as those of `startTestDatabases` */
  readonly databases?: { preparedTransactions(): Promise<readonly PreparedTransaction[]> };
}

/**
 * A coordinator for tests: the service's own code in this process, with its log in memory. Services connect to `url` as
 * they do in production. Its switches make happen what a test wants to see survived.
 *
 * Each switch returns a handle: `hits` counts, `happened` resolves at the first time, `off()` ends it.
 */
export class TestCoordinator implements AsyncDisposable {
  private readonly clock: Clock = new SystemClock();
  /** Switches for `client.locks`. */
  readonly locks: LockSwitches;
  private readonly rules: MessageRules;
  private readonly lockRules: LockRules;
  private readonly crashPoints: CrashPoints;
  private readonly dooms: DoomedTransactions;
  private coordinator: EmbeddedCoordinator | undefined;
  /** ids of transactions up to this one are of tests before the last `reset` */
  private lastOfBefore = '';
  private recoveries: Promise<void> = Promise.resolve();

  private constructor({ seed }: TestCoordinatorOptions) {
    const random = seed === undefined ? new SystemRandom() : new SeededRandom(seed);
    this.rules = new MessageRules(random);
    this.lockRules = new LockRules(random);
    this.locks = new LockSwitches({
      rules: this.lockRules,
      holderOf: (name) => this.embedded.state.locks.get(name),
      release: (lock) => this.embedded.locks.release(lock),
    });
    this.crashPoints = new CrashPoints();
    this.dooms = new DoomedTransactions();
  }

  /** Use `startTestCoordinator`. */
  static async start(options: TestCoordinatorOptions): Promise<TestCoordinator> {
    const { cluster, environment, logger, tracing } = options;
    const test = new TestCoordinator(options);
    test.coordinator = await EmbeddedCoordinator.start({
      failpoints: test.crashPoints,
      wrapBus: (bus) => new FaultyBus(bus, test.rules, test.clock),
      wrapTransactions: (manager) => test.dooms.wrap(manager),
      wrapLocks: (locks) => new FaultyLocks(locks, test.lockRules, test.crashPoints, test.clock),
      ...(cluster !== undefined && { cluster }),
      ...(environment && { environment }),
      ...(logger && { logger }),
      ...(tracing && { tracing }),
    });
    return test;
  }

  /** For the option `coordinators` of services, and for clients; the same until `stop`. */
  get url(): string {
    return this.embedded.url;
  }

  get cluster(): string {
    return this.embedded.clusterName;
  }

  get isUp(): boolean {
    return this.embedded.isUp;
  }

  /** Of the present leadership; rises with each `failOver` and each recovery. @throws CoordinatorDownError */
  get term(): number {
    return this.embedded.term;
  }

  /**
   * Resolves when each of these participants has announced itself and has a stream. Call it before the first request:
   * one with a participant that is not known yet is refused.
   *
   * @throws WaitedInVainError naming those that are missing
   */
  async participantsReady(participants: readonly string[], { withinMs }: WithinOptions = {}): Promise<void> {
    const missing = (): string[] => {
      const streams = this.embedded.streams();
      const { state } = this.embedded;
      return participants.filter((name) => !state.participant(name) || (streams.get(name) ?? 0) === 0);
    };
    const limitMs = withinMs ?? DEFAULT_WITHIN_MS;
    const ready = await lookFor(this.clock, limitMs, () => (missing().length === 0 ? true : undefined));
    if (ready) return;
    throw new WaitedInVainError(
      `after ${limitMs} ms these are not connected: ${missing().join(', ')}; connected are: ${list(this.connected())}. ` +
        `Their coordinators must be ['${this.url}'], and their cluster "${this.cluster}".`,
    );
  }

  /**
   * The next transaction aborts when its commit is requested, before any branch is asked to prepare: its client gets
   * `TRANSACTION_ABORTED` with this reason.
   *
   * @param request the reason, or more than that; default `OPERATOR`
   */
  abortNext(request: AbortRequest | NonNullable<AbortRequest['reason']> = {}): Switch {
    const asked = typeof request === 'string' ? { reason: request } : request;
    if (asked.participant !== undefined) this.checkParticipant(asked.participant);
    return this.dooms.add(asked);
  }

  /**
   * The participant's replies to this kind of message never arrive: `loseReply('inventory', 'prepare')` is a vote that
   * is never heard, and the transaction aborts at its deadline.
   */
  loseReply(participant: string, kind: MessageKind, options: LossOptions = {}): Switch {
    return this.lose('reply', participant, kind, options);
  }

  /** These messages to the participant never arrive. */
  loseRequest(participant: string, kind: MessageKind, options: LossOptions = {}): Switch {
    return this.lose('request', participant, kind, options);
  }

  /**
   * Messages to and from the participant are late, each by its own time if a range is given. They may overtake each
   * other. @param kinds default: all
   */
  delay(participant: string, delay: Delay, kinds: readonly MessageKind[] = MESSAGE_KINDS): Switch {
    this.checkParticipant(participant);
    return this.rules.add({ participant, kinds, fault: { type: 'delay', delay } });
  }

  /** Messages to and from the participant arrive twice. @param kinds default: all */
  duplicate(participant: string, kinds: readonly MessageKind[] = MESSAGE_KINDS): Switch {
    this.checkParticipant(participant);
    return this.rules.add({ participant, kinds, fault: { type: 'duplicate' } });
  }

  /** The coordinator crashes when it first comes to this point, just before it. It starts again by itself. */
  crashBefore(point: CrashPoint, options: CrashOptions = {}): Switch {
    return this.crashPoints.arm('before', point, this.crashWith(options));
  }

  /**
   * The coordinator crashes just behind this point: the record is in the log and nobody has acted on it, or the messages
   * have left. It starts again by itself.
   */
  crashAfter(point: CrashPoint, options: CrashOptions = {}): Switch {
    return this.crashPoints.arm('after', point, this.crashWith(options));
  }

  /** It dies now, as by kill -9: connections break, and what is not in the log is lost. `recover()` starts it again. */
  crash(): void {
    this.embedded.crash();
  }

  /** Starts it again from its log, at the same URL. Resolves when it leads; no effect while it is up. */
  async recover(): Promise<void> {
    await this.recoveries;
    await this.embedded.recover();
  }

  /**
   * The leadership moves, as when another coordinator of a group takes over: a later term, and everything in flight
   * built anew from the log. Connections stay. Resolves when there is a leader again.
   */
  async failOver(): Promise<void> {
    await this.embedded.failOver();
  }

  /** All transactions since the start or the last `reset`, oldest first. */
  async transactions(): Promise<readonly TransactionView[]> {
    const found: TransactionView[] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: PAGE, ...(cursor !== undefined && { cursor }) };
      const { value: page } = await this.embedded.manager.list(query, 'linearizable');
      found.push(...page.items.filter(({ id }) => id > this.lastOfBefore));
      const isOver = page.items.some(({ id }) => id <= this.lastOfBefore);
      cursor = isOver ? undefined : (page.nextCursor ?? undefined);
    } while (cursor !== undefined);
    return found.reverse();
  }

  /**
   * Waits until every transaction has ended, and all branches as it was decided.
   *
   * @throws TransactionsOpenError listing the transactions, their branches, the gids and whether their participants are
   *   connected
   */
  async expectNothingInDoubt({ withinMs = DEFAULT_WITHIN_MS, databases }: NothingInDoubtOptions = {}): Promise<void> {
    let [open, prepared]: [OpenTransaction[], readonly PreparedTransaction[]] = [[], []];
    const prefix = `concordat:${this.cluster}:`;
    const nothing = await lookFor(this.clock, withinMs, async () => {
      open = await this.openTransactions();
      prepared = (await databases?.preparedTransactions())?.filter(({ gid }) => gid.startsWith(prefix)) ?? [];
      return open.length + prepared.length === 0 ? true : undefined;
    });
    if (nothing) return;
    throw new TransactionsOpenError(
      `after ${withinMs} ms ${open.length} transactions have not ended well` +
        `${prepared.length > 0 ? `, and ${prepared.length} branches are prepared` : ''}:\n${describeOpen(open, prepared)}`,
      { details: { open, prepared } },
    );
  }

  /**
   * For use between two tests: switches everything off, recovers from a crash, aborts what is undecided, waits until all
   * has ended, and forgets it in `transactions()`.
   *
   * @throws TransactionsOpenError when something does not end, such as a branch whose service is gone
   */
  async reset({ withinMs }: WithinOptions = {}): Promise<void> {
    this.rules.clear();
    this.lockRules.clear();
    this.crashPoints.clear();
    this.dooms.clear();
    await this.recover();
    for (const { id, status } of await this.transactions()) {
      if (status === 'active' || status === 'preparing') {
        await this.embedded.manager.abort(id, { wait: 'decided', waitMs: 0 });
      }
    }
    await this.expectNothingInDoubt(withinMs === undefined ? {} : { withinMs });
    this.lastOfBefore = (await this.transactions()).at(-1)?.id ?? this.lastOfBefore;
  }

  /** Ends it for good: no timer, no connection and no listener stays. */
  async stop(): Promise<void> {
    this.rules.clear();
    this.lockRules.clear();
    this.crashPoints.clear();
    await this.embedded.stop();
    await this.recoveries;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private get embedded(): EmbeddedCoordinator {
    if (this.coordinator) return this.coordinator;
    throw new CoordinatorDownError('the coordinator has not started');
  }

  private lose(direction: Direction, participant: string, kind: MessageKind, { times }: LossOptions): Switch {
    this.checkParticipant(participant);
    return this.rules.add({
      participant,
      kinds: [kind],
      direction,
      fault: { type: 'lose' },
      times: times ?? 'transaction',
    });
  }

  private crashWith({ recoverAfterMs = 0 }: CrashOptions): () => void {
    if (recoverAfterMs !== false && !(Number.isInteger(recoverAfterMs) && recoverAfterMs >= 0)) {
      throw new InvalidArgumentError(`recoverAfterMs is ${recoverAfterMs}; it must be whole milliseconds, or false`);
    }
    return () => {
      this.embedded.crash();
      if (recoverAfterMs === false) return;
      this.recoveries = new Promise<void>((resolve) => void this.clock.setTimer(recoverAfterMs, resolve))
        .then(() => this.embedded.recover())
        .catch(() => undefined); // stopped, or crashed again: whoever asks next is told
    };
  }

  private async openTransactions(): Promise<OpenTransaction[]> {
    try {
      const streams = this.embedded.streams();
      const transactions = await this.transactions();
      return transactions.flatMap((transaction) => openTransaction(transaction, this.cluster, streams) ?? []);
    } catch (error) {
      if (this.isUp && !(error instanceof CoordinatorDownError)) throw error;
      await this.recoveries;
      if (this.isUp) return this.openTransactions();
      throw new TransactionsOpenError(`nobody can say what is in doubt: ${errorMessage(error)}`, { cause: error });
    }
  }

  private checkParticipant(name: string): void {
    const known = [...this.embedded.state.participants()].map((participant) => participant.name);
    if (known.includes(name)) return;
    throw new UnknownNameError(
      `no participant "${name}" has announced itself; there are: ${list(known)}. Await participantsReady first.`,
    );
  }

  private connected(): string[] {
    return [...this.embedded.streams().keys()];
  }
}

/**
 * Starts a coordinator in this process. It is ready when this resolves, and needs no Docker, no broker and no disk.
 *
 * @throws EmbeddedConfigurationError for a wrong variable
 */
export function startTestCoordinator(options: TestCoordinatorOptions = {}): Promise<TestCoordinator> {
  return TestCoordinator.start(options);
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : [...names].sort().join(', ');
}
