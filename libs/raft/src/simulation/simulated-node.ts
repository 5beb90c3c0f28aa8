import { randomFraction, silentLogger, type Logger, type Random, type VirtualClock } from '@concordat/foundation';
import { SimulatedProcess } from '@concordat/foundation/testing';
import type { RaftCore } from '../core/raft-core.js';
import type { Configuration, Member, NodeId } from '../core/types.js';
import type { RaftTransport } from '../driver/ports.js';
import { RaftNode } from '../driver/raft-node.js';
import { FileStorage } from '../storage/file-storage.js';
import { Sighting, type ClusterChecker } from './cluster-checker.js';
import { DriftingClock } from './drifting-clock.js';
import { DurableRecord } from './durable-record.js';
import { KeyValueMachine, type KeyValueResult } from './key-value-machine.js';
import type { Ledger } from './ledger.js';
import type { Profile } from './profile.js';
import { SimulatedDisk } from './simulated-disk.js';
import { Handshake } from './handshake.js';
import type { Receiver, SimulatedNetwork, Speaker } from './simulated-network.js';
import { Violation } from './violation.js';
import { WitnessStorage } from './witness-storage.js';

export interface NodeSurroundings {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly profile: Profile;
  readonly checker: ClusterChecker;
  readonly ledger: Ledger;
  /** called before the node does something */
  touched(node: SimulatedNode): void;
  /** its process has ended by itself: it could not start, or not continue */
  failed(node: SimulatedNode, error: Error): void;
  count(event: string): void;
  /** the sender of messages in that node's name, where a second process with that id runs or has run */
  originalOf(nodeId: NodeId): SimulatedNode | undefined;
}

/** One life of the node. */
interface Life {
  readonly process: SimulatedProcess;
  readonly raft: RaftNode<KeyValueResult>;
  readonly machine: KeyValueMachine;
  readonly seen: Sighting;
  readonly speaker: Speaker;
  readonly handshake: Handshake;
  /** reasons of refused messages */
  readonly complaints: string[];
}

/** The process does not exist (any more): nothing has happened. */
export class ProcessGoneError extends Error {
  override readonly name = 'ProcessGoneError';
}

const DIRECTORY = '/data';
/** A connected process that is silent this long counts as dead when another one of its directory arrives. */
const PATIENCE_ELECTION_TIMEOUTS = 2;

/**
 * A machine of the group with its disk, and one process after another on it.
 *
 *     down --boot--> up --crash, stop, failure--> down;  any --lose--> lost
 */
export class SimulatedNode {
  disk: SimulatedDisk;
  record: DurableRecord;
  private readonly rate: number;
  private readonly random: Random;
  private life: Life | undefined;
  private lives = 0;
  private lost = false;
  /** whether it is a second process with the id of another machine */
  readonly isTwin: boolean;
  /** the configuration in force at the last check; it may be down since */
  lastConfiguration: Configuration | undefined;
  /** index of that in its log */
  lastConfigurationIndex = 0;
  /** its directory was lost at least once, or another node may have taken over its rights */
  wasWiped = false;
  /** a clean stop is in progress */
  isStopping = false;
  /** when the machine was set up */
  readonly createdAt: number;

  /**
   * @param members the group in the node's options
   * @param joins whether that group exists already
   * @param twinDisk of a second process with the id of another machine
   */
  constructor(
    readonly nodeId: NodeId,
    private readonly surroundings: NodeSurroundings,
    random: Random,
    private readonly members: readonly Member[],
    private joins: boolean,
    twinDisk?: SimulatedDisk,
  ) {
    const { clock, profile, checker } = surroundings;
    this.random = random;
    this.isTwin = twinDisk !== undefined;
    this.disk = twinDisk ?? new SimulatedDisk(clock, random);
    this.disk.syncMs = profile.syncMs;
    this.record = new DurableRecord(nodeId);
    this.rate = 1 + randomFraction(random) * profile.drift;
    this.createdAt = clock.monotonic();
    if (this.isTwin) checker.twinBegins(nodeId, this.record);
    else checker.register(nodeId, this.record);
  }

  get isUp(): boolean {
    return this.life !== undefined;
  }

  /** Its data are gone for good; the node never comes back. */
  get isLost(): boolean {
    return this.lost;
  }

  /** Its present process, with the verdicts of others. */
  get speaker(): Speaker | undefined {
    return this.life?.speaker;
  }

  /** Its present process opens a stream to another machine. */
  call(other: SimulatedNode): void {
    const { incarnation } = this.record;
    if (this.life && incarnation !== undefined)
      other.life?.handshake.accepts(this.nodeId, incarnation, this.life.speaker);
  }

  get machine(): KeyValueMachine | undefined {
    return this.life?.machine;
  }

  /**
   * The core inside the driver. It is private there, because only a checker uses it: copying a whole status after each
   * of millions of steps would dominate the simulation's time.
   */
  get core(): RaftCore | undefined {
    return this.life?.raft['core'];
  }

  /** Whether it would answer a read now without a round (thesis, section 6.4.1). */
  holdsLease(): boolean {
    const { life } = this;
    if (!life || !this.core?.mayTrustLease) return false;
    return life.raft['lease']?.isValid(life.process.monotonic()) ?? false;
  }

  /** The speed of its clock relative to true time. */
  get clockRate(): number {
    return this.rate;
  }

  get isPaused(): boolean {
    return this.life?.process.isPaused ?? false;
  }

  /**
   * A call into the node from outside of its process; it waits while that is paused.
   *
   * @throws ProcessGoneError when there is no process, or it ends first
   */
  invoke<T>(call: (raft: RaftNode<KeyValueResult>, machine: KeyValueMachine) => Promise<T>): Promise<T> {
    const { life } = this;
    if (!life) return Promise.reject(new ProcessGoneError('nobody is there'));
    return new Promise((resolve, reject) =>
      life.process.enter(
        () => void call(life.raft, life.machine).then(resolve, reject),
        () => reject(new ProcessGoneError('the process ended first')),
      ),
    );
  }

  boot(): void {
    if (this.life || this.lost) return;
    const { clock, profile, ledger } = this.surroundings;
    const ownClock = new DriftingClock(clock, this.rate, Math.floor(randomFraction(this.random) * 1e6));
    const process = new SimulatedProcess(`node ${this.nodeId}`, ownClock, {
      onActivity: () => this.surroundings.touched(this),
      resumesAtOnce: true,
    });
    const machine = new KeyValueMachine(this.nodeId, ledger);
    const complaints: string[] = [];
    const handshake = new Handshake(this.nodeId, this.surroundings, PATIENCE_ELECTION_TIMEOUTS * this.electionMs);
    const speaker = handshake.speaker(++this.lives, this.isTwin, process);
    const raft = new RaftNode<KeyValueResult>({
      nodeId: this.nodeId,
      members: this.members,
      join: this.joins,
      storage: this.storage(process),
      transport: this.transport(process, handshake, speaker),
      stateMachine: machine,
      clock: process,
      random: this.random,
      logger: this.logger(complaints),
      tickMs: profile.tickMs,
      electionTicks: profile.electionTicks,
      heartbeatTicks: profile.heartbeatTicks,
      snapshotAfterBytes: profile.snapshotAfterBytes,
      snapshotAfterEntries: profile.snapshotAfterEntries,
      lazyFollowers: profile.lazyFollowers,
      ...(profile.leaseReads && { leaseReads: profile.leaseReads }),
      limits: profile.limits,
      onFatal: (error) => this.surroundings.failed(this, error),
    });
    this.isStopping = false;
    this.life = { process, raft, machine, seen: new Sighting(), speaker, handshake, complaints };
    this.surroundings.touched(this);
    raft.start().catch((error: unknown) => {
      this.surroundings.failed(this, error instanceof Error ? error : new Error(String(error)));
    });
  }

  private storage(process: SimulatedProcess): WitnessStorage {
    const storage = new FileStorage({
      directory: DIRECTORY,
      nodeId: this.nodeId,
      clusterName: 'simulated',
      segmentSizeBytes: this.surroundings.profile.segmentSizeBytes,
      fileSystem: this.disk.mount(process),
      processTable: { ownPid: 1, identify: () => 'simulated' },
      random: this.random,
      clock: process,
    });
    const { checker } = this.surroundings;
    return new WitnessStorage(storage, this.nodeId, this.record, checker, (event) => this.surroundings.count(event));
  }

  private get electionMs(): number {
    const { electionTicks, tickMs } = this.surroundings.profile;
    return electionTicks * tickMs;
  }

  private transport(process: SimulatedProcess, handshake: Handshake, speaker: Speaker): RaftTransport {
    const { network } = this.surroundings;
    let receive: Receiver | undefined;
    return {
      start: (onMessage, notices) => {
        receive = (message, from) =>
          process.enter(() => {
            if (handshake.admits(message, from)) onMessage(message);
          });
        handshake.onSecondProcess = (witness) => process.enter(() => notices?.onSecondProcess(witness));
        network.attach(this.nodeId, this, receive);
        return Promise.resolve();
      },
      setPeers: () => undefined, // every node is reached by its number
      send: (messages) => {
        for (const message of messages) {
          this.record.sending(message);
          if (message.type === 'timeout-now' && this.core)
            this.surroundings.checker.callsElection(this.nodeId, this.core, message.to);
          network.send(message, speaker);
        }
      },
      isConnected: () => true,
      stop: () => {
        network.detach(this.nodeId, this, receive);
        return Promise.resolve();
      },
    };
  }

  private logger(complaints: string[]): Logger {
    return { ...silentLogger, error: (message) => complaints.push(message) };
  }

  /** Checks what the node has done. */
  look(): void {
    const { life } = this;
    const core = this.core;
    if (!life || !core) return;
    this.surroundings.checker.look(this.nodeId, core, life.seen, this.record);
    this.lastConfiguration = core.configuration;
    this.lastConfigurationIndex = core.configurationIndex;
    if (core.refusedMessages > 0)
      throw new Violation('refused message', life.complaints.join('; ') || `node ${this.nodeId} refused one`);
  }

  /** Ends the process like `kill -9`; with `losesPower` the machine goes down as well. */
  crash(losesPower: boolean): void {
    const { life } = this;
    if (!life) return;
    this.life = undefined;
    this.isStopping = false;
    life.process.kill();
    life.raft.kill();
    if (losesPower) this.disk.losePower();
  }

  /** A clean stop; resolves when the process has ended by itself. */
  async stop(): Promise<void> {
    const { life } = this;
    if (!life || this.isStopping) return;
    this.isStopping = true;
    await life.raft.stop();
    if (this.life !== life) return;
    this.life = undefined;
    this.isStopping = false;
    life.process.kill();
  }

  pause(): void {
    this.life?.process.pause();
  }

  resume(): void {
    this.life?.process.resume();
  }

  /** The process ends, and its directory is gone: the next start finds an empty one. */
  wipe(): void {
    const { clock, profile, checker } = this.surroundings;
    this.crash(true);
    this.disk = new SimulatedDisk(clock, this.random);
    this.disk.syncMs = profile.syncMs;
    this.record = new DurableRecord(this.nodeId);
    this.joins = true;
    this.wasWiped = true;
    this.lastConfiguration = undefined;
    this.lastConfigurationIndex = 0;
    checker.wiped(this.nodeId, this.record);
  }

  /** Whether its directory has the vote in that configuration. */
  hasRightsIn({ members }: Configuration): boolean {
    const named = members.find(({ nodeId }) => nodeId === this.nodeId);
    return !this.lost && named !== undefined && named.incarnation === this.record.incarnation;
  }

  /** The machine is given up. */
  lose(): void {
    this.crash(true);
    this.lost = true;
  }
}
