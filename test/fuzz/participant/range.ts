import { randomInteger, UuidV7Generator, VirtualClock, type Logger, type SeededRandom } from '@concordat/foundation';
import type { OperationCall, ProtocolMessage } from '@concordat/commit-protocol';
import { DEAD_LETTER_TOPIC, decideTopic, prepareTopic, type Topic } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { BranchRefusedError, ParticipantRuntime } from '@concordat/participant';
import { FUZZ_CLUSTER, FUZZ_NAMESPACE, type Shot } from '../shots.js';
import { WatchedBus } from '../watched-bus.js';
import { ModelledBranches, type LocalWork } from '../../support/modelled-database/modelled-branches.js';
import { messageOf, PARTICIPANT, prepareOf, TERM, type Actor, type Part } from './cast.js';
import { ParticipantJudge } from './judge.js';

const PEERS = ['bank-b', 'bank-c'];
/** Few, so that the real ones are forgotten now and then, and their database has to know. */
const REMEMBERED_TRANSACTIONS = 64;

/** A participant in memory: real bus, runtime and machine on a modelled database, and its judge. */
export class ParticipantRange {
  readonly clock = new VirtualClock();
  readonly actors: Actor[] = [];
  readonly failures: string[] = [];
  readonly store: ModelledBranches;
  readonly judge: ParticipantJudge;
  deliveredCount = 0;
  private readonly broker = new MemoryBroker({ clock: this.clock, partitions: 1, retainedMessages: 5_000 });
  private readonly outside = new MemoryMessageBus(this.broker, { cluster: FUZZ_CLUSTER });
  private readonly bus: WatchedBus;
  private readonly runtime: ParticipantRuntime<LocalWork>;
  private readonly ids: UuidV7Generator;

  constructor(random: SeededRandom) {
    this.ids = new UuidV7Generator(() => this.clock.now(), random);
    this.store = new ModelledBranches((branch, before, after) => this.judge.changed(branch, before, after));
    this.judge = new ParticipantJudge(PARTICIPANT, (branch) => this.store.rowsOf(branch));
    const logger: Logger = {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (message) => void this.failures.push(message),
    };
    this.bus = new WatchedBus(new MemoryMessageBus(this.broker, { cluster: FUZZ_CLUSTER, logger }), {
      delivered: (message) => {
        this.deliveredCount++;
        this.judge.delivered(message);
      },
      published: (message) => this.judge.published(message),
      failed: (error) => this.judge.failed(error),
    });
    this.runtime = new ParticipantRuntime<LocalWork>({
      participant: PARTICIPANT,
      resourceManager: this.store,
      bus: this.bus,
      handlers: { operations: () => ['read', 'refuse', 'write'], handle },
      clock: this.clock,
      random,
      limits: { rememberedTransactions: REMEMBERED_TRANSACTIONS, terminationTimeoutMs: 100_000_000 },
    });
  }

  async start(parts: readonly Part[]): Promise<void> {
    await Promise.all([this.bus.start(), this.outside.start()]);
    await this.runtime.start();
    for (const part of parts) {
      const transactionId = this.ids.next();
      const acceptors = [PARTICIPANT, ...PEERS].map((participant) => ({ branchId: this.ids.next(), participant }));
      const actor = { part, address: { transactionId, ...acceptors[0]! }, acceptors };
      this.actors.push(actor);
      if (part.isPreparedByService) this.store.prepareByService(actor.address);
      for (const [place, heard] of part.heard.entries()) {
        if (part.isHeld && place === part.heard.length - 1) this.store.held.add(actor.address.branchId);
        await this.send(messageOf(actor, heard));
      }
    }
    await this.rest(1_000);
    this.judge.isStorm = true;
  }

  async fire(shots: readonly Shot[], random: SeededRandom): Promise<void> {
    this.broker.append(
      shots.map(({ topic, bytes }) => ({ topic: FUZZ_NAMESPACE.topic(topic), key: null, value: bytes })),
    );
    await this.rest(randomInteger(random, 0, 200));
  }

  get deadLetters(): (Buffer | null)[] {
    return this.broker.recordsOf(FUZZ_NAMESPACE.topic(DEAD_LETTER_TOPIC)).map(({ value }) => value);
  }

  /** Every branch hears what its transaction has really come to, as often as a coordinator says it. */
  async heal(): Promise<void> {
    this.judge.isStorm = false;
    this.store.release();
    await this.rest(1_000);
    for (const actor of this.actors) {
      const { decision, isPreparedByService, heard } = actor.part;
      if (heard.includes('contradiction')) continue;
      if (heard.length === 0 && !isPreparedByService) await this.send([prepareOf(actor, TERM, 1)]);
      if (decision !== undefined) await this.send([...messageOf(actor, decision), ...messageOf(actor, decision)]);
    }
    await this.rest(1_000);
  }

  /** Whether new transactions of a leader that keeps the rules get their votes and are committed. */
  async servesHonestCoordinators(parts: readonly Part[]): Promise<boolean> {
    for (const part of parts) {
      const transactionId = this.ids.next();
      const acceptors = [PARTICIPANT, ...PEERS].map((participant) => ({ branchId: this.ids.next(), participant }));
      const actor = { part, address: { transactionId, ...acceptors[0]! }, acceptors };
      for (const heard of part.heard) await this.send(messageOf(actor, heard));
      if (this.store.rowsOf(actor.address).ledger?.outcome !== part.ledger) return false;
    }
    return true;
  }

  async stop(): Promise<void> {
    const stopped = Promise.all([this.runtime.stop(), this.outside.stop()]);
    await this.rest(60_000);
    await stopped;
    await Promise.all([this.bus.stop(), this.rest(60_000)]);
  }

  private async send(messages: readonly ProtocolMessage[]): Promise<void> {
    void this.outside.publish(messages.map((message) => ({ topic: topicFor(message), message })));
    await this.rest(1);
  }

  private async rest(durationMs: number): Promise<void> {
    this.clock.advance(0);
    await turn();
    this.clock.advance(durationMs);
    await turn();
  }
}

export function topicFor({ type }: ProtocolMessage): Topic {
  return type === 'prepare' || type === 'commit-one-phase' ? prepareTopic(PARTICIPANT) : decideTopic(PARTICIPANT);
}

async function handle({ operation }: OperationCall, work: LocalWork): Promise<null> {
  if (operation === 'refuse') throw new BranchRefusedError('REFUSED', 'as it was asked to');
  work.hasWritten ||= operation === 'write';
  return null;
}

function ignore(): void {
  // nobody reads it
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
