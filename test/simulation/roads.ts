import { randomChance, randomItem, SeededRandom, type Clock, type Logger } from '@concordat/foundation';
import type { SimulatedProcess } from '@concordat/foundation/testing';
import {
  BothRoads,
  DirectCoordinatorBus,
  DirectParticipantBus,
  type AttachSocket,
  type CoordinatorStatus,
  type Link,
  type MessageBus,
} from '@concordat/messaging';
import { MemoryMessageBus, MemoryStreams, NO_STREAM_FAULTS, type MemoryBroker } from '@concordat/messaging/testing';
import { CLUSTER } from './cluster.js';

/** Of so many seeds one has direct streams alone, and two have them beside the broker; the others have the broker. */
const LINKS_OF_SEEDS: readonly Link[] = ['kafka', 'both', 'kafka', 'direct', 'both'];
/** Apart from all other randomness, so that seeds with the broker alone stay what they are. */
const STREAM_SEEDS_FROM = 2_000_003;

export function linkOf(seed: number): Link {
  return LINKS_OF_SEEDS[seed % LINKS_OF_SEEDS.length]!;
}

/** What goes wrong with streams; each time one of them. */
export const STREAM_FAULTS = ['stream-weather', 'stream-break', 'stream-swallow', 'stream-block'] as const;
export type StreamFault = (typeof STREAM_FAULTS)[number];

const STRANGER_STAYS_MS = 300;

/** A bus that can die with its process. */
export interface MortalBus extends MessageBus {
  crash(): void;
}

/** The roads between the coordinators and the participants of one simulated system. */
export class Roads {
  private readonly streams: MemoryStreams;
  private readonly random: SeededRandom;
  private readonly announced = new Map<number, DirectCoordinatorBus>();
  /** its streams are cut for good, as by a firewall; the broker carries all of its messages */
  private blocked: string | undefined;

  constructor(
    readonly link: Link,
    clock: Clock,
    private readonly broker: MemoryBroker,
    seed: number,
  ) {
    this.random = new SeededRandom(seed + STREAM_SEEDS_FROM);
    this.streams = new MemoryStreams(clock, this.random.fork(), { minimumDelayMs: 0, maximumDelayMs: 2 });
  }

  ofCoordinator(nodeId: number, process: SimulatedProcess, logger: Logger): MortalBus {
    if (this.link === 'kafka') return this.onBroker();
    const direct = new DirectCoordinatorBus({
      nodeId,
      cluster: CLUSTER,
      clock: process,
      defer: (action) => void process.setTimer(0, action),
      logger,
      status: { leads: false, term: 0, members: [] },
    });
    this.announced.set(nodeId, direct);
    const close = this.streams.listen(urlOf(nodeId), (attach) => {
      process.enter(
        () => direct.accept(gated(attach, process)),
        () => attach(NOBODY).destroy(),
      );
    });
    process.onDeath(close);
    return this.joined(direct, logger);
  }

  ofParticipant(
    participant: string,
    instance: string,
    process: SimulatedProcess,
    nodeIds: readonly number[],
  ): MortalBus {
    if (this.link === 'kafka') return this.onBroker();
    const direct = new DirectParticipantBus({
      participant,
      instance,
      cluster: CLUSTER,
      clock: process,
      random: this.random.fork(),
      defer: (action) => void process.setTimer(0, action),
      coordinators: nodeIds.slice(0, 1).map(urlOf), // the others are learnt
      dial: async (url) => {
        if (participant === this.blocked) throw new Error('no way leads there');
        const attach = await process.hear(this.streams.dial(url));
        return gated(attach, process);
      },
    });
    return this.joined(direct);
  }

  /** What a node says of itself to the participants; nothing where there are no streams. */
  tell(nodeId: number, status: Omit<CoordinatorStatus, 'members'>, nodeIds: readonly number[]): void {
    this.announced.get(nodeId)?.setStatus({ ...status, members: nodeIds.map(urlOf) });
  }

  inject(fault: StreamFault, longestDelayMs: number, participants: readonly string[]): void {
    const { random, streams } = this;
    switch (fault) {
      case 'stream-weather': {
        const bad = randomChance(random, 0.7);
        return streams.setFaults({
          minimumDelayMs: 0,
          maximumDelayMs: bad ? randomItem(random, [5, 50, longestDelayMs]) : 2,
          breakProbability: bad ? 0.02 : 0,
          swallowProbability: bad ? 0.01 : 0,
        });
      }
      case 'stream-block':
        if (this.link === 'both') this.blocked ??= randomItem(random, participants);
        return streams.breakAll();
      case 'stream-break':
        return streams.breakAll();
      case 'stream-swallow':
        return streams.swallowAll();
    }
  }

  /**
   * A process of another cluster connects to every coordinator, under the name of a participant.
   *
   * @param isTakenIn told after a while whether any of them took it in
   */
  knock(cluster: string, participant: string, clock: Clock, isTakenIn: (is: boolean) => void): void {
    if (this.link === 'kafka') return;
    const stranger = new DirectParticipantBus({
      participant,
      instance: 'stranger',
      cluster,
      clock,
      random: this.random.fork(),
      defer: (action) => void clock.setTimer(0, action),
      coordinators: [...this.announced.keys()].map(urlOf),
      dial: (url) => this.streams.dial(url),
    });
    void stranger.start();
    clock.setTimer(STRANGER_STAYS_MS, () => {
      isTakenIn(stranger.isConnected());
      stranger.crash();
    });
  }

  heal(): void {
    this.streams.setFaults({ ...NO_STREAM_FAULTS, maximumDelayMs: 2 });
  }

  private onBroker(): MemoryMessageBus {
    return new MemoryMessageBus(this.broker, { cluster: CLUSTER });
  }

  private joined(direct: DirectCoordinatorBus | DirectParticipantBus, logger?: Logger): MortalBus {
    if (this.link === 'direct') return direct;
    const broker = this.onBroker();
    const both = new BothRoads(direct, broker, logger);
    return Object.assign(both, {
      crash: () => {
        direct.crash();
        broker.crash();
      },
    });
  }
}

function urlOf(nodeId: number): string {
  return `http://coordinator-${nodeId}`;
}

/** What arrives waits while the process is stopped, and finds nobody when it is dead. */
function gated(attach: AttachSocket, process: SimulatedProcess): AttachSocket {
  return (events) =>
    attach({
      onBytes: (chunk) => process.enter(() => events.onBytes(chunk)),
      onDrained: () => process.enter(() => events.onDrained()),
      onClosed: (error) => process.enter(() => events.onClosed(error)),
    });
}

const ignore = (): void => undefined;
const NOBODY = { onBytes: ignore, onDrained: ignore, onClosed: ignore };
