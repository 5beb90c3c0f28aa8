import {
  CodedError,
  errorMessage,
  invariant,
  noFailpoints,
  randomInteger,
  VirtualClock,
  type Logger,
  type SeededRandom,
} from '@concordat/foundation';
import type { BranchAddress, ProtocolMessage, TransactionId, TransactionState } from '@concordat/commit-protocol';
import { DEAD_LETTER_TOPIC, REPLIES_TOPIC } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import {
  DEFAULT_TRANSACTION_OPTIONS,
  RepliesConsumer,
  TransactionManager,
  type BranchRequest,
} from '../../../apps/coordinator/src/index.js';
import { FUZZ_CLUSTER, FUZZ_NAMESPACE, type Shot } from '../shots.js';
import { WatchedBus } from '../watched-bus.js';
import type { Part } from './cast.js';
import { HonestBranches, type Conduct } from './honest-branches.js';
import { CoordinatorJudge } from './judge.js';
import { WatchedLog } from './watched-log.js';

/** Far beyond what a run takes: nothing is decided because it is late. */
const TIMEOUT_MS = 3_600_000;
const PARTICIPANTS = ['bank-a', 'bank-b', 'bank-c'];
const HEALING_STEPS = 12;
const HEALING_STEP_MS = 20_000;
/** ends of branches are gathered for a moment before they are logged */
const CALM_MS = 1_000;
const MAXIMUM_ROUNDS = 50;
const NO_WAIT = { wait: 'decided', waitMs: 0 } as const;
const HONEST: Conduct = { vote: 'yes', answers: () => true };

/** A transaction on the stage, and the part it plays. */
export interface Actor {
  readonly part: Part;
  readonly transactionId: TransactionId;
}

/**
 * A coordinator in memory, with real consumer, transaction manager and state machine, its judge, and branches that keep
 * the rules; bytes go in at the broker.
 */
export class CoordinatorRange {
  readonly clock = new VirtualClock();
  readonly actors: Actor[] = [];
  readonly judge: CoordinatorJudge;
  /** complaints of the bus: a handler that threw, a dead letter that was lost */
  readonly failures: string[] = [];
  readonly log: WatchedLog;
  /** messages that were readable */
  deliveredCount = 0;
  readonly manager: TransactionManager;
  private readonly broker = new MemoryBroker({ clock: this.clock, partitions: 1, retainedMessages: 2_000 });
  private readonly parts = new Map<TransactionId, Part>();
  private readonly honest: HonestBranches;
  private readonly consumer: RepliesConsumer;
  private readonly bus: WatchedBus;
  private readonly outside = new MemoryMessageBus(this.broker, { cluster: FUZZ_CLUSTER });
  /** what honest branches still have to say; while it is undefined they hear nothing */
  private honestReplies: ProtocolMessage[] | undefined = [];
  private isHealing = false;
  /** the part of the transaction that is just being made */
  private entering: Part | undefined;

  constructor(random: SeededRandom) {
    this.log = new WatchedLog({
      proposed: (record) => this.judge.proposed(record),
      applied: (applied) => this.judge.applied(applied),
    });
    this.judge = new CoordinatorJudge(this.log.state);
    const fails = (message: string): void => void this.failures.push(message);
    const logger: Logger = { debug: ignore, info: ignore, warn: ignore, error: fails };
    this.bus = new WatchedBus(new MemoryMessageBus(this.broker, { cluster: FUZZ_CLUSTER, logger }), {
      delivered: (message) => {
        this.deliveredCount++;
        this.judge.delivered(message);
      },
      published: (message) => this.onPublished(message),
      failed: (error) => this.judge.failed(error),
    });
    this.honest = new HonestBranches(
      (message) => this.conductOf(message),
      (message) => void this.honestReplies?.push(message),
    );
    this.manager = new TransactionManager({
      log: this.log,
      bus: this.bus,
      clock: this.clock,
      random,
      failpoints: noFailpoints,
      logger: { ...logger, error: (message) => void (message.startsWith('ALERT') || fails(message)) },
      options: { ...DEFAULT_TRANSACTION_OPTIONS, cluster: FUZZ_CLUSTER, beginDelayMs: 0 },
    });
    this.consumer = new RepliesConsumer(this.bus, this.manager, 1, { ...logger, warn: ignore });
  }

  /** The coordinator leads, and everybody on the stage stands where its part begins. */
  async start(parts: readonly Part[]): Promise<void> {
    const startedAt = this.clock.now();
    await Promise.all([this.outside.start(), this.consumer.start()]);
    this.consumer.consume(true);
    this.log.lead();
    this.announce();
    await this.settle();
    await this.enter(parts.filter(({ isOlder }) => isOlder));
    this.log.lead();
    await this.settle();
    const rest = parts.filter(({ isOlder }) => !isOlder);
    this.log.isHeld = (record) => {
      return (
        'transactionId' in record && (this.parts.get(record.transactionId) ?? this.entering)?.holds === record.type
      );
    };
    await this.enter(rest);
    this.clock.advance(CALM_MS);
    await this.settle();
    // what began before this moment may have been forgotten
    await this.log.append({ type: 'expire', before: startedAt });
    this.honestReplies = undefined;
    this.judge.isStorm = true;
    this.judge.testimony.moved.clear();
  }

  find(transactionId: TransactionId): TransactionState | undefined {
    return this.log.state.find(transactionId);
  }

  addressesOf({ transactionId }: Actor): BranchAddress[] {
    const { branches } = this.find(transactionId)!;
    return branches.map(({ branchId, participant }) => ({ transactionId, branchId, participant }));
  }

  /** Leaves the messages in the topic of replies, and lets some time pass. */
  async fire(shots: readonly Shot[], random: SeededRandom): Promise<void> {
    this.broker.append(
      shots.map(({ topic, bytes }) => ({ topic: FUZZ_NAMESPACE.topic(topic), key: null, value: bytes })),
    );
    this.clock.advance(randomInteger(random, 0, 200));
    await turn();
  }

  get deadLetters(): (Buffer | null)[] {
    return this.broker.recordsOf(FUZZ_NAMESPACE.topic(DEAD_LETTER_TOPIC)).map(({ value }) => value);
  }

  /** Everything that was held up or not answered comes to its end. */
  async heal(): Promise<void> {
    this.judge.isStorm = false;
    this.honestReplies = [];
    this.isHealing = true;
    this.announce();
    this.log.release();
    for (const { part, transactionId } of this.actors) if (part.isInteractive) this.commit(transactionId);
    for (let step = 0; step < HEALING_STEPS; step++) {
      this.announce(); // what strangers announced in the names of others expires
      this.clock.advance(HEALING_STEP_MS);
      await this.settle();
    }
  }

  /** Whether new transactions of both protocols, and one in one phase, commit. */
  async servesHonestClients(): Promise<boolean> {
    for (const [protocol, count] of [
      ['2pc', 2],
      ['3pc', 3],
      ['2pc', 1],
    ] as const) {
      const request = { protocol, timeoutMs: TIMEOUT_MS, metadata: {}, branches: workFor(count) };
      const answer = this.manager.execute(request, { wait: 'ended', waitMs: 30_000 });
      await this.settle();
      this.clock.advance(1_000);
      await this.settle();
      this.clock.advance(60_000); // what is not there by now is answered as it stands
      if ((await answer).transaction.status !== 'committed') return false;
    }
    return true;
  }

  async stop(): Promise<void> {
    this.manager.stop();
    const stopped = Promise.all([this.consumer.stop(), this.bus.stop(), this.outside.stop()]);
    await turn();
    this.clock.advance(60_000); // what waits for a while at its end
    await stopped;
  }

  /** One after the other, so that each is known by what appears in the log. */
  private async enter(parts: readonly Part[]): Promise<void> {
    for (const part of parts) {
      this.entering = part;
      const transactionId = part.isInteractive ? await this.open(part) : await this.execute(part);
      this.parts.set(transactionId, part);
      this.entering = undefined;
      this.actors.push({ part, transactionId });
    }
  }

  private async open({ protocol, branches }: Part): Promise<TransactionId> {
    const { id } = await this.manager.begin({ protocol, timeoutMs: TIMEOUT_MS, metadata: {} });
    for (const request of workFor(branches)) await this.manager.enlist(id, request);
    return id;
  }

  private async execute({ protocol, branches }: Part): Promise<TransactionId> {
    const known = new Set(this.actors.map(({ transactionId }) => transactionId));
    const request = { protocol, timeoutMs: TIMEOUT_MS, metadata: {}, branches: workFor(branches) };
    const answer = this.manager.execute(request, NO_WAIT);
    await this.settle();
    const [made] = [...this.log.state.newestFirst()].filter(({ transactionId }) => !known.has(transactionId));
    invariant(made, 'what was executed is in the log');
    this.clock.advance(1);
    await answer;
    await this.settle();
    return made.transactionId;
  }

  /** As all participants do now and then, so that what others announced in their names does not last. */
  private announce(): void {
    for (const participant of PARTICIPANTS) {
      this.honestReplies?.push({ type: 'announce', participant, operations: ['debit'] });
    }
  }

  private commit(transactionId: TransactionId): void {
    this.manager.commit(transactionId, NO_WAIT).catch((error: unknown) => {
      if (!(error instanceof CodedError)) this.failures.push(errorMessage(error));
    });
  }

  private onPublished(message: ProtocolMessage): void {
    this.judge.published(message);
    if (this.honestReplies) this.honest.receive(message);
  }

  private conductOf({ transactionId, participant }: BranchAddress): Conduct {
    const part = this.parts.get(transactionId) ?? this.entering;
    if (!part) return HONEST;
    const place = PARTICIPANTS.indexOf(participant);
    return { vote: part.vote(place), answers: (message) => this.isHealing || part.answers(message, place) };
  }

  /** Everything that needs no time is done. */
  private async settle(): Promise<void> {
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      await turn();
      this.clock.advance(0);
      await turn();
      const replies = this.honestReplies?.splice(0) ?? [];
      if (replies.length === 0) return;
      void this.outside.publish(replies.map((message) => ({ topic: REPLIES_TOPIC, message })));
      this.clock.advance(0);
    }
    throw new Error('the coordinator and its branches do not come to rest');
  }
}

function workFor(count: number): BranchRequest[] {
  return PARTICIPANTS.slice(0, count).map((participant) => ({ participant, operation: 'debit', payload: {} }));
}

function ignore(): void {
  // nobody reads it
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
