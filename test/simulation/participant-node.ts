import { invariant, type Clock, type JsonValue, type SeededRandom } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { BranchRefusedError, ParticipantRuntime, type OperationHandlers } from '@concordat/participant';
import type { Checker } from './checker.js';
import type { CrashDice } from './crash-dice.js';
import { CLUSTER } from './cluster.js';
import { GatedBus } from './gated-bus.js';
import type { DatabaseSession } from '../support/modelled-database/database-session.js';
import type { ModelledDatabase } from '../support/modelled-database/modelled-database.js';
import { ModelledResourceManager } from '../support/modelled-database/modelled-resource-manager.js';
import { actOddly, unknownField, type Oddity } from './odd-work.js';
import { NODE_IDS } from './coordinator-node.js';
import type { Pace } from './pace.js';
import type { Roads } from './roads.js';
import { sabotagedResourceManager, type Sabotage } from './sabotage.js';
import { MachineClock, SimulatedProcess } from '@concordat/foundation/testing';

export interface ParticipantPorts {
  readonly clock: Clock;
  readonly pace: Pace;
  readonly random: SeededRandom;
  readonly roads: Roads;
  readonly checker: Checker;
  readonly dice: CrashDice;
  readonly sabotage: Sabotage | undefined;
}

const RESTARTED_AFTER_MS = 300;

/** What a client asks of an account; `intent` tells the checker on whose behalf. */
export interface OperationPayload {
  readonly account: string;
  readonly amount: number;
  readonly intent: string;
  /** the handler takes no notice of a statement that fails */
  readonly careless: boolean;
  readonly odd?: Oddity;
}

/** Later than any deadline and the grace behind it. */
const LATE_MS = 60_000;

const sleep = (clock: Clock, delayMs: number): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(delayMs, resolve));

/**
 * Work must not go on when the message that asked for it counts as consumed: a crash would lose it for good. Nor may
 * it have an effect when it has been given up.
 */
function createHandlers(
  { unfinished }: GatedBus,
  checker: Checker,
  beLate: () => Promise<void>,
): OperationHandlers<DatabaseSession> {
  return {
    operations: () => ['credit', 'debit', 'read'],
    handle: async ({ operation, payload }, session, { transactionId, branchId }) => {
      const unknown = unknownField(payload);
      if (unknown !== undefined)
        throw new BranchRefusedError('INVALID_PAYLOAD', `${unknown}: is no field of this call`);
      const { odd, ...asked } = payload as unknown as OperationPayload;
      const result = await operate(session, operation, asked);
      if (!unfinished.has(transactionId)) checker.violate(`offset: work of ${transactionId} outlasts its message`);
      if (!odd) return result;
      return actOddly(odd, async () => {
        await beLate();
        await session.update({ intent: asked.intent, account: asked.account, amount: 1 }, 0);
        checker.violate(`the handlers of ${branchId} were given up, and still write`);
      });
    },
  };
}

export async function operate(
  session: DatabaseSession,
  operation: string,
  { account, amount, intent, careless }: OperationPayload,
): Promise<JsonValue> {
  if (operation === 'read') return { account, balance: await session.read(account) };
  const balance = await session.readForUpdate(account).catch((error: unknown) => {
    if (!careless) throw error;
  });
  if (balance === undefined) return null;
  const change = operation === 'debit' ? -amount : amount;
  if (balance + change < 0) throw new BranchRefusedError('INSUFFICIENT_FUNDS', `${account} has only ${balance}`);
  await session.update({ intent, account, amount: change }, balance + change);
  return null;
}

/** One process of a participant; several of them may share its database. */
export class ParticipantNode {
  readonly machine: MachineClock;
  private life: SimulatedProcess | undefined;
  private current: ParticipantRuntime<DatabaseSession> | undefined;

  /** told of every message that a life of it sends */
  onReply: (process: SimulatedProcess, message: ProtocolMessage) => void = () => undefined;

  constructor(
    readonly participant: string,
    readonly instance: number,
    readonly database: ModelledDatabase,
    private readonly ports: ParticipantPorts,
  ) {
    this.machine = new MachineClock(ports.clock);
  }

  get process(): SimulatedProcess | undefined {
    return this.life;
  }

  /** Of this life; undefined while the process is down. */
  get runtime(): ParticipantRuntime<DatabaseSession> | undefined {
    return this.life && this.current;
  }

  boot(): void {
    const { participant, database } = this;
    const { random, roads, checker, dice, sabotage, pace } = this.ports;
    invariant(!this.life, 'a process is started once');
    const process = new SimulatedProcess(`${participant}-${this.instance}`, this.machine);
    this.life = process;
    const road = roads.ofParticipant(participant, process.name, process, NODE_IDS);
    const bus = new GatedBus(road, process, (message) => {
      checker.replied(message);
      this.onReply(process, message);
    });
    bus.onReceived = (message) => checker.received(message);
    bus.onUnsendable = (error) => checker.said.unsendable(process.name, error);
    const manager = new ModelledResourceManager(CLUSTER, database, process, pace.lockTimeoutMs, () =>
      runtime.databaseChanged(),
    );
    const runtime = new ParticipantRuntime<DatabaseSession>({
      participant,
      ...(roads.link !== 'kafka' && { instance: process.name }),
      bus,
      resourceManager: sabotage ? sabotagedResourceManager(manager, process, random.fork(), sabotage) : manager,
      handlers: createHandlers(bus, checker, () => sleep(process, LATE_MS * pace.patienceFactor)),
      failpoints: dice.failpoints(process, () => this.crashAndRestart()),
      clock: process,
      random: random.fork(),
      limits: pace.participant,
      onAlert: ({ code, branch, detail }) => {
        if (code === 'HEURISTIC_OUTCOME' && checker.exemptions.hasBranch(branch.branchId)) return;
        if (code === 'ACCEPTOR_AMNESIA' && checker.exemptions.hasLost(branch.branchId)) return;
        if (code === 'UNKNOWN_OLD_TRANSACTION' && checker.retention.mayBeForgotten(branch.transactionId)) return;
        checker.violate(`${process.name}: ${code} on ${branch.branchId}: ${detail}`);
      },
    });
    this.current = runtime;
    void bus.start().then(() => runtime.start());
  }

  crashAndRestart(): void {
    this.crash();
    this.ports.clock.setTimer(RESTARTED_AFTER_MS * this.ports.pace.outageFactor, () => {
      if (!this.life) this.boot();
    });
  }

  crash(): void {
    this.life?.kill();
    this.life = undefined;
  }
}
