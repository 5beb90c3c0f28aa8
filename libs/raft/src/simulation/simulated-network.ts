import { randomChance, randomInteger, randomItem, type Random, type VirtualClock } from '@concordat/foundation';
import { entrySizeBytes } from '../core/log/log.js';
import type { AppendEntries, Message, NodeId } from '../core/types.js';
import type { Verdict } from '../transport/process-claims.js';
import { Violation } from './violation.js';

/** The behaviour of the network; probabilities and milliseconds. */
export interface Weather {
  readonly minDelayMs: number;
  readonly maximumDelayMs: number;
  readonly loss: number;
  readonly duplication: number;
  /** of a message that ignores the order of its link; others never overtake each other */
  readonly reordering: number;
  /** of a message, or a copy of one, that arrives very late */
  readonly straggling: number;
  /** maximum delay of stragglers */
  readonly straggleMs: number;
}

export interface Speaker {
  readonly process: number;
  /** whether it is a second one with the id of a machine */
  readonly isTwin: boolean;
  isAlive(): boolean;
  /** A node accepts it, or rejects it because of another process of the same directory. */
  judged(by: NodeId, verdict: Verdict): void;
}

export type Receiver = (message: Message, speaker: Speaker) => void;

/** The approximate overhead of a message. */
const BYTES_PER_MESSAGE = 50;

/** In an election timeout; healthy groups were seen to send at most a twentieth of it. */
const MAXIMUM_MESSAGES = 20_000;
const MAXIMUM_OTHER_MESSAGES = 5_000;
/** Repetitions of the same entries to a follower in an election timeout; healthy leaders were seen to send 11. */
const MAXIMUM_REPETITIONS = 16;

/** Directed links that lose, delay, duplicate and reorder messages, and that can be cut. */
export class SimulatedNetwork {
  /** by node and machine: a node with a twin has several machines */
  private readonly receivers = new Map<NodeId, Map<object, Receiver>>();
  private readonly busyUntil = new Map<string, number>();
  private readonly cut = new Set<string>();
  /** of narrow links: the time of a byte, for which the next one waits */
  private readonly msPerByte = new Map<string, number>();
  private era = 0;
  private readonly flood = { since: 0, count: 0, others: 0 };
  /** messages that begin with the same entry, since the last flood check */
  private readonly repetitions = new Map<string, number>();
  /** messages that were sent */
  sent = 0;

  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
    public weather: Weather,
    /** an election timeout, in which no correct group sends more than MAXIMUM_MESSAGES */
    private readonly floodMs: number,
    private readonly onDelivery: (message: Message) => void,
  ) {}

  /** Replaces an earlier life of that machine. */
  attach(nodeId: NodeId, machine: object, receive: Receiver): void {
    const receivers = this.receivers.get(nodeId) ?? new Map<object, Receiver>();
    this.receivers.set(nodeId, receivers.set(machine, receive));
  }

  /** Messages to the machine are lost until it attaches again; a later life's receiver stays. */
  detach(nodeId: NodeId, machine: object, receive?: Receiver): void {
    const receivers = this.receivers.get(nodeId);
    if (receive === undefined || receivers?.get(machine) === receive) receivers?.delete(machine);
  }

  send(message: Message, speaker: Speaker): void {
    const { random, weather } = this;
    this.sent++;
    this.checkFlood(message);
    if (randomChance(random, weather.loss)) return;
    this.carry(message, speaker);
    if (weather.duplication > 0 && randomChance(random, weather.duplication)) this.carry(message, speaker);
    if (weather.straggling > 0 && randomChance(random, weather.straggling))
      this.deliverIn(message, speaker, randomInteger(random, 0, weather.straggleMs));
  }

  /** Nodes that answer each other without end make no progress, and waste their machines. */
  private checkFlood(message: Message): void {
    const { type, from, to } = message;
    const { flood } = this;
    const now = this.clock.monotonic();
    if (now - flood.since > this.floodMs) {
      flood.since = now;
      flood.count = flood.others = 0;
      this.repetitions.clear();
    }
    if (!type.startsWith('append-entries')) flood.others++;
    if (++flood.count > MAXIMUM_MESSAGES || flood.others > MAXIMUM_OTHER_MESSAGES)
      throw new Violation('liveness', `a flood of messages, the latest one ${type} from node ${from} to node ${to}`);
    if (message.type === 'append-entries' && message.entries.length > 0) this.checkRepetition(message);
  }

  /** A reordered or lost message costs a repetition, but not one for each message in flight. */
  private checkRepetition({ from, to, term, entries }: AppendEntries): void {
    const { index } = entries[0]!;
    const key = `${from}>${to} ${term} ${index}`;
    const count = (this.repetitions.get(key) ?? 0) + 1;
    this.repetitions.set(key, count);
    if (count > MAXIMUM_REPETITIONS)
      throw new Violation('liveness', `node ${from} sends node ${to} the entries from ${index} on again and again`);
  }

  /** Messages in flight over a cut link are lost, too. */
  cutLink(from: NodeId, to: NodeId): void {
    this.cut.add(`${from}>${to}`);
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.cut.has(`${from}>${to}`);
  }

  /** Later messages take their time over the link, byte after byte. */
  narrowLink(from: NodeId, to: NodeId, msPerByte: number): void {
    this.msPerByte.set(`${from}>${to}`, msPerByte);
  }

  /** All links are restored. */
  heal(): void {
    this.cut.clear();
    this.msPerByte.clear();
  }

  /** All messages in flight are lost. */
  loseAll(): void {
    this.era++;
    this.busyUntil.clear();
  }

  private carry(message: Message, speaker: Speaker): void {
    const { random } = this;
    const { minDelayMs, maximumDelayMs, reordering } = this.weather;
    const now = this.clock.monotonic();
    let dueAt = now + randomInteger(random, minDelayMs * 8, maximumDelayMs * 8) / 8;
    const link = `${message.from}>${message.to}`;
    const msPerByte = this.msPerByte.get(link);
    if (msPerByte !== undefined) {
      dueAt = Math.max(dueAt, this.busyUntil.get(link) ?? 0) + sizeBytes(message) * msPerByte;
      this.busyUntil.set(link, dueAt);
    } else if (reordering === 0 || !randomChance(random, reordering)) {
      dueAt = Math.max(dueAt, this.busyUntil.get(link) ?? 0);
      this.busyUntil.set(link, dueAt);
    }
    this.deliverIn(message, speaker, dueAt - now);
  }

  private deliverIn(message: Message, speaker: Speaker, delayMs: number): void {
    const { era } = this;
    this.clock.setTimer(delayMs, () => {
      if (era !== this.era) return;
      const receivers = [...(this.receivers.get(message.to)?.values() ?? [])];
      if (receivers.length === 0 || this.cut.has(`${message.from}>${message.to}`)) return;
      this.onDelivery(message);
      for (const receive of this.addressees(receivers)) receive(message, speaker);
    });
  }

  /** A message to a node and its twin reaches one of them, or both. */
  private addressees(receivers: readonly Receiver[]): readonly Receiver[] {
    if (receivers.length < 2 || randomChance(this.random, 0.5)) return receivers;
    return [randomItem(this.random, receivers)];
  }
}

function sizeBytes(message: Message): number {
  if (message.type === 'snapshot-chunk') return BYTES_PER_MESSAGE + message.data.length;
  if (message.type !== 'append-entries') return BYTES_PER_MESSAGE;
  return message.entries.reduce((sum, entry) => sum + entrySizeBytes(entry), BYTES_PER_MESSAGE);
}
