import {
  CodedError,
  errorMessage,
  randomChance,
  type Clock,
  type Logger,
  type SeededRandom,
} from '@concordat/foundation';
import type { ApplyResult } from '@concordat/commit-protocol';
import { memberOf, RaftNode, type Message, type RaftTransport } from '@concordat/raft';
import { MemoryStorage, type MemoryNetwork } from '@concordat/raft/testing';
import {
  CompressedEndedTransactions,
  DEFAULT_TRANSACTION_OPTIONS,
  Locks,
  RaftDecisionLog,
  RepliesConsumer,
  TransactionManager,
} from '../../apps/coordinator/src/index.js';
import type { Checker } from './checker.js';
import { CLUSTER } from './cluster.js';
import type { CrashDice } from './crash-dice.js';
import { GatedBus } from './gated-bus.js';
import type { Pace } from './pace.js';
import type { Roads } from './roads.js';
import { HastyStorage, sabotagedLog, type Sabotage } from './sabotage.js';
import { SimulatedGroupClocks } from './simulated-group-clocks.js';
import { MachineClock, SimulatedProcess } from '@concordat/foundation/testing';

export const NODE_IDS: readonly number[] = [1, 2, 3];

export interface CoordinatorPorts {
  readonly clock: Clock;
  readonly pace: Pace;
  readonly random: SeededRandom;
  readonly network: MemoryNetwork;
  readonly roads: Roads;
  readonly checker: Checker;
  readonly dice: CrashDice;
  /** how long a write takes, in milliseconds */
  readonly diskDelayMs: () => number;
  readonly snapshotAfterBytes: number;
  readonly sabotage: Sabotage | undefined;
  /** all of the group */
  readonly group: () => readonly CoordinatorNode[];
}

/** One life of a coordinator: everything that a crash takes with it. */
interface Life {
  readonly process: SimulatedProcess;
  readonly node: RaftNode<ApplyResult>;
  readonly log: RaftDecisionLog;
  readonly manager: TransactionManager;
  readonly locks: Locks;
}

const DISK_FAILURE = 'the disk failed';
const RESTARTED_AFTER_MS = 700;

/** One coordinator: a disk that stays, and lives that come and go on it. */
export class CoordinatorNode {
  readonly storage: MemoryStorage;
  readonly machine: MachineClock;
  private life: Life | undefined;

  constructor(
    readonly nodeId: number,
    private readonly ports: CoordinatorPorts,
  ) {
    const { sabotage, diskDelayMs } = ports;
    this.machine = new MachineClock(ports.clock);
    // Delays run on the clock of the life that waits for them.
    const clock: Clock = {
      now: () => ports.clock.now(),
      monotonic: () => ports.clock.monotonic(),
      setTimer: (delayMs, action) => (this.life?.process ?? ports.clock).setTimer(delayMs, action),
    };
    const disk = { clock, delayMs: diskDelayMs };
    this.storage = sabotage === 'disk-acknowledges-early' ? new HastyStorage(clock) : new MemoryStorage(disk);
  }

  get isUp(): boolean {
    return this.life !== undefined;
  }

  get process(): SimulatedProcess | undefined {
    return this.life?.process;
  }

  get manager(): TransactionManager | undefined {
    return this.life?.manager;
  }

  get locks(): Locks | undefined {
    return this.life?.locks;
  }

  get log(): RaftDecisionLog | undefined {
    return this.life?.log;
  }

  get node(): RaftNode<ApplyResult> | undefined {
    return this.life?.node;
  }

  boot(): void {
    const { clock, random, network, roads, checker, snapshotAfterBytes, sabotage, dice, pace } = this.ports;
    const process = new SimulatedProcess(`coordinator-${this.nodeId}`, this.machine);
    const logger = this.logger();
    const archive = new CompressedEndedTransactions({ blockSize: 8, decodedBlocks: 2, hashSeed: random.uint32() });
    const log = new RaftDecisionLog(archive);
    log.onApplied((applied) => checker.onApplied(this.nodeId, log, applied));
    const node = new RaftNode<ApplyResult>({
      nodeId: this.nodeId,
      members: NODE_IDS.map((nodeId) => memberOf(nodeId)),
      storage: this.storage,
      transport: gatedTransport(network.transport(this.nodeId), process),
      stateMachine: log.stateMachine,
      clock: process,
      random: random.fork(),
      logger,
      snapshotAfterBytes,
      ...pace.raft,
      lazyFollowers: true,
      onFatal: (error) => this.failed(error),
    });
    node.onStatusChange(({ role, term }) => {
      if (role === 'leader') checker.replicas.leads(this.nodeId, term);
    });
    const bus = new GatedBus(roads.ofCoordinator(this.nodeId, process, logger), process, (message) =>
      checker.published(this.nodeId, message),
    );
    bus.onUnsendable = (error) => checker.said.unsendable(process.name, error);
    const manager = new TransactionManager({
      log: sabotage ? sabotagedLog(log, { bus, random: random.fork(), clock }, sabotage) : log,
      bus,
      clock: process,
      random: random.fork(),
      failpoints: dice.failpoints(process, () => this.crashAndRestart()),
      logger,
      options: { ...DEFAULT_TRANSACTION_OPTIONS, cluster: CLUSTER, ...pace.coordinator },
      groupClocks: this.groupClocks(),
    });
    const locks = new Locks({ log, clock: process, groupClocks: this.groupClocks() });
    // Where somebody subscribes, a follower applies at once.
    if (randomChance(random, 0.3)) {
      const seen = new Map<string, number>();
      manager.subscribe(({ transaction: { id, status } }) =>
        checker.replicas.statusShown(this.nodeId, seen, id, status),
      );
    }
    this.life = { process, node, log, manager, locks };
    log.attach(node);
    const replies = new RepliesConsumer(bus, manager, this.nodeId, logger);
    node.onStatusChange(({ role, term }) => {
      replies.consume(role === 'leader');
      roads.tell(this.nodeId, { leads: role === 'leader', term }, NODE_IDS);
    });
    node
      .start()
      .catch((error: unknown) => checker.violate(`node ${this.nodeId} does not start: ${errorMessage(error)}`));
    void replies.start();
  }

  /** kill -9, or the loss of power: the write in flight may survive it. */
  crash(): void {
    if (!this.life) return;
    const { process, node } = this.life;
    node.kill();
    process.kill();
    this.life = undefined;
    this.ports.network.detach(this.nodeId);
    this.storage.crash(randomChance(this.ports.random, 0.5));
  }

  /** The next write fails: the node must stop by itself, and somebody starts it again. */
  breakDisk(): void {
    if (this.life) this.storage.failNextWrite(new Error(DISK_FAILURE));
  }

  /** Nothing more fits on the disk, until `freeDisk`. */
  fillDisk(): void {
    this.storage.fillDisk();
  }

  freeDisk(): void {
    this.storage.freeDisk();
  }

  /** An operator wants another node to lead; whether that comes about is none of the caller's business. */
  handOver(target: number): void {
    this.life?.node.transferLeadership(target).catch((error: unknown) => {
      if (!(error instanceof CodedError)) this.ports.checker.violate(`a transfer failed: ${errorMessage(error)}`);
    });
  }

  /** Read over the network of Raft, there and back. */
  private groupClocks(): SimulatedGroupClocks {
    const { clock, group, network } = this.ports;
    const others = (): readonly CoordinatorNode[] => group().filter((node) => node !== this);
    return new SimulatedGroupClocks(NODE_IDS.length, clock, others, (peer) => {
      return network.transport(this.nodeId).isConnected(peer) && network.transport(peer).isConnected(this.nodeId);
    });
  }

  private failed(error: Error): void {
    if (error.message !== DISK_FAILURE) this.ports.checker.violate(`node ${this.nodeId} gave up: ${error.stack}`);
    this.crashAndRestart();
  }

  private crashAndRestart(): void {
    this.crash();
    this.ports.clock.setTimer(RESTARTED_AFTER_MS * this.ports.pace.outageFactor, () => {
      if (!this.life) this.boot();
    });
  }

  private logger(): Logger {
    const { checker } = this.ports;
    const note = (): void => undefined;
    return {
      debug: note,
      info: note,
      warn: note,
      error: (message) => {
        if (message.includes(DISK_FAILURE) || message.startsWith('proposals are refused')) return;
        if (message.includes('a write has not returned for several election timeouts')) return; // a slow disk is a fault
        if (checker.clocksWereSet && message.startsWith('ALERT the clocks of the group are')) return;
        if (checker.mayMeetOld && message.endsWith('which is older than the retention or the group')) return;
        if (!checker.exemptions.explains(message)) checker.violate(`node ${this.nodeId} complains: ${message}`);
      },
    };
  }
}

function gatedTransport(transport: RaftTransport, process: SimulatedProcess): RaftTransport {
  return {
    start: (onMessage) => transport.start((message: Message) => process.enter(() => onMessage(message))),
    setPeers: (peers) => transport.setPeers(peers),
    send: (messages) => {
      if (process.isAlive) transport.send(messages);
    },
    isConnected: (peer) => transport.isConnected(peer),
    stop: () => transport.stop(),
  };
}
