import { randomChance, randomInteger } from '@concordat/foundation';
import type { Clock, Random } from '@concordat/foundation';
import type { Message, NodeId } from '../../core/types.js';
import type { RaftTransport } from '../ports.js';

/** Where time and chance come from, and how bad the network is. */
export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** a message takes between these many milliseconds, by default 1 to 1 */
  readonly minDelayMs?: number;
  readonly maximumDelayMs?: number;
  /** probabilities, by default 0 */
  readonly loss?: number;
  readonly duplication?: number;
  /** of a message that ignores the order of its link; others never overtake each other */
  readonly reordering?: number;
}

type Faults = Required<Omit<MemoryNetworkOptions, 'clock' | 'random'>>;

/**
 * A network in memory: every fault of a real one, drawn from a seed, on a simulated clock. Links are directed
 * and keep the order of messages except those that are chosen for reordering.
 */
export class MemoryNetwork {
  private readonly handlers = new Map<NodeId, (message: Message) => void>();
  private readonly cut = new Set<string>();
  private readonly busyUntil = new Map<string, number>();
  private readonly observers = new Set<(message: Message) => void>();
  private faults: Faults;

  constructor(private readonly options: MemoryNetworkOptions) {
    const { minDelayMs = 1, maximumDelayMs = minDelayMs, loss = 0, duplication = 0, reordering = 0 } = options;
    this.faults = { minDelayMs, maximumDelayMs, loss, duplication, reordering };
  }

  /** The transport of one node; a restarted node takes a new one. */
  transport(nodeId: NodeId): RaftTransport {
    let handler: ((message: Message) => void) | undefined;
    return {
      start: (onMessage) => {
        handler = onMessage;
        this.handlers.set(nodeId, onMessage);
        return Promise.resolve();
      },
      setPeers: () => undefined, // everybody is reached by number
      send: (messages) => {
        for (const message of messages) this.post(message);
      },
      isConnected: (peer) => this.handlers.has(peer) && this.isOpen(nodeId, peer),
      stop: () => {
        if (this.handlers.get(nodeId) === handler) this.detach(nodeId);
        return Promise.resolve();
      },
    };
  }

  /** The node is gone: messages to it are lost until it starts again. */
  detach(nodeId: NodeId): void {
    this.handlers.delete(nodeId);
  }

  setFaults(faults: Partial<Faults>): void {
    this.faults = { ...this.faults, ...faults };
  }

  /** Nodes of different groups no longer hear each other; messages on their way between them are lost. */
  partition(...groups: readonly (readonly NodeId[])[]): void {
    this.cut.clear();
    for (const group of groups) {
      for (const other of groups) {
        if (group === other) continue;
        for (const from of group) for (const to of other) this.cut.add(`${from}>${to}`);
      }
    }
  }

  /** Cuts one direction only. */
  cutLink(from: NodeId, to: NodeId): void {
    this.cut.add(`${from}>${to}`);
  }

  /** All links are open again. */
  heal(): void {
    this.cut.clear();
  }

  /** Sees every message that is delivered, just before it is. */
  observe(observer: (message: Message) => void): void {
    this.observers.add(observer);
  }

  private isOpen(from: NodeId, to: NodeId): boolean {
    return !this.cut.has(`${from}>${to}`);
  }

  private post(message: Message): void {
    const { random } = this.options;
    if (randomChance(random, this.faults.loss)) return;
    this.carry(message);
    if (randomChance(random, this.faults.duplication)) this.carry(message);
  }

  private carry(message: Message): void {
    const { clock, random } = this.options;
    const { minDelayMs, maximumDelayMs, reordering } = this.faults;
    const link = `${message.from}>${message.to}`;
    let dueAt = clock.monotonic() + randomInteger(random, minDelayMs, maximumDelayMs);
    if (!randomChance(random, reordering)) {
      dueAt = Math.max(dueAt, this.busyUntil.get(link) ?? 0);
      this.busyUntil.set(link, dueAt);
    }
    clock.setTimer(dueAt - clock.monotonic(), () => this.deliver(message));
  }

  private deliver(message: Message): void {
    const handler = this.handlers.get(message.to);
    if (!handler || !this.isOpen(message.from, message.to)) return;
    for (const observer of this.observers) observer(message);
    handler(message);
  }
}
