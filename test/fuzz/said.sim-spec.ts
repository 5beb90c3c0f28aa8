import { describe, expect, it } from '@jest/globals';
import { VirtualClock, noFailpoints, randomInteger, silentLogger, type SeededRandom } from '@concordat/foundation';
import { LIMITS } from '@concordat/commit-protocol';
import { DEAD_LETTER_TOPIC, Namespace } from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { ParticipantRuntime } from '@concordat/participant';
import {
  DEFAULT_TRANSACTION_OPTIONS,
  RepliesConsumer,
  TransactionManager,
  type TransactionView,
} from '../../apps/coordinator/src/index.js';
import { WatchedLog } from './coordinator/watched-log.js';
import { eachWorld } from './replay.js';
import { ModelledBranches, type LocalWork } from '../support/modelled-database/modelled-branches.js';
import { conductOf, type Conduct } from '../simulation/odd-conduct.js';

/** As many as the issue of every kind together asks for; fewer only for whoever looks for a failure. */
const BRANCHES = Number(process.env['FUZZ_BRANCHES'] ?? 20_000);
const TRANSACTIONS_PER_WORLD = 500;
const AT_ONCE = 20;
const CLUSTER = 'fuzz';
const PARTICIPANTS = ['bank-a', 'bank-b', 'bank-c'];
/** Far less than the deadline: whoever waits for it was told nothing. */
const SETTLES_WITHIN_MS = 500;
const TIMEOUT_MS = 30_000;

/** A coordinator and three participants in memory, on a bus that encodes and decodes, with handlers that say odd things. */
class OddWorld {
  readonly clock = new VirtualClock();
  readonly databases = new Map(PARTICIPANTS.map((name) => [name, new ModelledBranches()]));
  readonly conducts: Conduct[] = [];
  readonly complaints: string[] = [];
  private readonly broker = new MemoryBroker({ clock: this.clock, partitions: 1 });
  private readonly log = new WatchedLog({ proposed: () => undefined, applied: () => undefined });
  readonly manager: TransactionManager;
  private readonly runtimes: ParticipantRuntime<LocalWork>[];
  private readonly consumer: RepliesConsumer;
  private readonly buses: MemoryMessageBus[] = [];

  constructor(random: SeededRandom) {
    const logger = { ...silentLogger, error: (line: string) => void this.complaints.push(line) };
    const { clock } = this;
    const bus = (): MemoryMessageBus => {
      const made = new MemoryMessageBus(this.broker, { cluster: CLUSTER, logger });
      this.buses.push(made);
      return made;
    };
    const coordinators = bus();
    this.manager = new TransactionManager({
      log: this.log,
      bus: coordinators,
      clock,
      random,
      failpoints: noFailpoints,
      logger,
      options: { ...DEFAULT_TRANSACTION_OPTIONS, cluster: CLUSTER, beginDelayMs: 0 },
    });
    this.consumer = new RepliesConsumer(coordinators, this.manager, 1, logger);
    this.runtimes = PARTICIPANTS.map((participant) => {
      return new ParticipantRuntime<LocalWork>({
        participant,
        resourceManager: this.databases.get(participant)!,
        bus: bus(),
        handlers: {
          operations: () => ['odd'],
          handle: async ({ payload }, work) => {
            const conduct = this.conducts[payload as number]!;
            work.hasWritten ||= conduct.writes;
            return conduct.act();
          },
        },
        clock,
        random,
        logger,
        limits: { workConcurrency: 256 },
      });
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.buses.map((bus) => bus.start()));
    await this.consumer.start();
    this.consumer.consume(true);
    this.log.lead();
    await Promise.all([...this.runtimes.map((runtime) => runtime.start()), this.pass(20)]);
    await this.pass(20);
  }

  /** One transaction, whose branches conduct themselves as they were drawn. */
  async execute(conducts: readonly Conduct[]): Promise<TransactionView> {
    const branches = conducts.map((conduct, place) => {
      const payload = this.conducts.push(conduct) - 1;
      return { participant: PARTICIPANTS[place]!, operation: 'odd', payload };
    });
    const request = { protocol: '2pc', timeoutMs: TIMEOUT_MS, metadata: {}, branches } as const;
    const { settled, transaction } = await this.manager.execute(request, { wait: 'ended', waitMs: SETTLES_WITHIN_MS });
    if (!settled) throw new Error(`${transaction.id} is ${transaction.status} after ${SETTLES_WITHIN_MS} ms`);
    return transaction;
  }

  async pass(milliseconds: number): Promise<void> {
    for (let passed = 0; passed < milliseconds; passed += 10) {
      this.clock.advance(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get deadLetters(): number {
    return this.broker.recordsOf(new Namespace({ cluster: CLUSTER }).topic(DEAD_LETTER_TOPIC)).length;
  }

  get unsendable(): number {
    const said = this.runtimes.map((runtime) => runtime.metrics().unsendable);
    return said.reduce((sum, count) => sum + count, this.manager.figures().unsendable);
  }
}

/** The one truth about a transaction: committed with what was returned, or aborted for a reason that a branch gave. */
function judge(world: OddWorld, transaction: TransactionView, conducts: readonly Conduct[]): void {
  const { id: transactionId } = transaction;
  const refusals = conducts.flatMap(({ refusal }) => (refusal === undefined ? [] : [refusal]));
  expect(transaction.outcome).toBe(refusals.length === 0 ? 'committed' : 'aborted');
  if (refusals.length > 0) {
    expect(transaction.reason).toBe('PARTICIPANT_REFUSED');
    expect(refusals).toContain(transaction.cause?.participantCode);
    expect(transaction.detail!.length).toBeLessThanOrEqual(LIMITS.errorMessageLength);
  }
  for (const [place, { branchId, participant, state, operations }] of transaction.branches.entries()) {
    const ledger = world.databases.get(participant)!.rowsOf({ transactionId, branchId }).ledger?.outcome;
    if (refusals.length > 0) expect(ledger).not.toBe('committed');
    else expect(ledger).toBe(conducts[place]!.writes ? 'committed' : undefined);
    expect(['committed', 'aborted', 'read-only']).toContain(state);
    const { result } = operations[0]!;
    if (result === undefined) continue; // together they may be more than is kept, and a reader's are not told twice
    expect(result).toEqual(JSON.parse(JSON.stringify(conducts[place]!.act() ?? null)));
  }
}

describe('handlers that return and throw odd things', () => {
  it(`end ${BRANCHES} branches at once, with the true reason, and nothing is ever said that cannot be sent`, async () => {
    let branches = 0;
    const worlds = Math.ceil(BRANCHES / (2 * TRANSACTIONS_PER_WORLD));
    await eachWorld('said', worlds, async (random) => {
      const world = new OddWorld(random.fork());
      await world.start();
      for (let count = 0; count < TRANSACTIONS_PER_WORLD; count += AT_ONCE) {
        const cast = Array.from({ length: AT_ONCE }, () => {
          return Array.from({ length: randomInteger(random, 1, 3) }, () => conductOf(random));
        });
        branches += cast.flat().length;
        const executed = Promise.all(cast.map((conducts) => world.execute(conducts)));
        const settled = executed.then(
          () => true,
          () => true,
        );
        for (let passed = 0; passed <= SETTLES_WITHIN_MS; passed += 50) {
          await world.pass(50);
          if (await Promise.race([settled, Promise.resolve(false)])) break;
        }
        for (const [place, transaction] of (await executed).entries()) judge(world, transaction, cast[place]!);
      }
      expect([world.unsendable, world.deadLetters, world.complaints]).toEqual([0, 0, []]);
      expect(world.manager.figures()).toMatchObject({ open: 0, alerts: 0 });
    });
    if (process.env['FUZZ_WORLD'] === undefined) expect(branches).toBeGreaterThan(BRANCHES * 0.95);
  }, 240_000);
});
