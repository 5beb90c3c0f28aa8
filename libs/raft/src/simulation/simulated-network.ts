import { randomChance, randomInteger, type Random, type VirtualClock } from '@concordat/foundation';
import { entrySizeBytes } from '../core/log/log.js';
import type { AppendEntries, Message, NodeId } from '../core/types.js';
import { Violation } from './violation.js';

/** How messages travel; probabilities and milliseconds. */
export interface Weather {
  readonly minDelayMs: number;
  readonly maximumDelayMs: number;
  readonly loss: number;
  readonly duplication: number;
  /** of a message that ignores the order of its link; others never overtake each other */
  readonly reordering: number;
  /** of a message, or the copy of one, that comes when nobody expects it any more */
  readonly straggling: number;
  /** how late stragglers come at most */
  readonly straggleMs: number;
}

/** What a message takes besides its data, about. */
const BYTES_PER_MESSAGE = 50;

/** In an election timeout; the most that healthy groups were seen to send is a twentieth of it. */
const MAXIMUM_MESSAGES = 20_000;
const MAXIMUM_OTHER_MESSAGES = 5_000;
/** So often a leader sends a follower the same entries in an election timeout; healthy ones were seen to do it 11 times. */
const MAXIMUM_REPETITIONS = 16;

/** Directed links that lose, delay, double and reorder messages, and that can be cut. */
export class SimulatedNetwork {
  private readonly receivers = new Map<NodeId, (message: Message) => void>();
  private readonly busyUntil = new Map<string, number>();
  private readonly cut = new Set<string>();
  /** of narrow links: so long a byte takes, and the next one waits for it */
  private readonly msPerByte = new Map<string, number>();
  private era = 0;
  private readonly flood = { since: 0, count: 0, others: 0 };
  /** how often messages that begin with the same entry were sent since the flood was last looked at */
  private readonly repetitions = new Map<string, number>();
  /** messages that were sent */
  sent = 0;

  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
    public weather: Weather,
    /** an election timeout: in it nobody has a reason to send more than MAXIMUM_MESSAGES */
    private readonly floodMs: number,
    private readonly onDelivery: (message: Message) => void,
  ) {}

  attach(nodeId: NodeId, receive: (message: Message) => void): void {
    this.receivers.set(nodeId, receive);
  }

  /** Messages to the node are lost until somebody attaches again; a later life's receiver stays. */
  detach(nodeId: NodeId, receive: ((message: Message) => void) | undefined): void {
    if (this.receivers.get(nodeId) === receive) this.receivers.delete(nodeId);
  }

  send(message: Message): void {
    const { random, weather } = this;
    this.sent++;
    this.checkFlood(message);
    if (randomChance(random, weather.loss)) return;
    this.carry(message);
    if (weather.duplication > 0 && randomChance(random, weather.duplication)) this.carry(message);
    if (weather.straggling > 0 && randomChance(random, weather.straggling))
      this.deliverIn(message, randomInteger(random, 0, weather.straggleMs));
  }

  /** Nodes that answer each other without end make no progress, and burn their machines. */
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

  /** Messages that overtake each other, or are lost, cost a repetition, but not one for each that was on its way. */
  private checkRepetition({ from, to, term, entries }: AppendEntries): void {
    const { index } = entries[0]!;
    const key = `${from}>${to} ${term} ${index}`;
    const count = (this.repetitions.get(key) ?? 0) + 1;
    this.repetitions.set(key, count);
    if (count > MAXIMUM_REPETITIONS)
      throw new Violation('liveness', `node ${from} sends node ${to} the entries from ${index} on again and again`);
  }

  /** What is on its way over a cut link is lost, too. */
  cutLink(from: NodeId, to: NodeId): void {
    this.cut.add(`${from}>${to}`);
  }

  /** What goes over the link from now on takes its time, byte after byte. */
  narrowLink(from: NodeId, to: NodeId, msPerByte: number): void {
    this.msPerByte.set(`${from}>${to}`, msPerByte);
  }

  /** All links are whole and wide. */
  heal(): void {
    this.cut.clear();
    this.msPerByte.clear();
  }

  /** Whatever is on its way is lost, and nobody hears of the past any more. */
  loseAll(): void {
    this.era++;
    this.busyUntil.clear();
  }

  private carry(message: Message): void {
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
    this.deliverIn(message, dueAt - now);
  }

  private deliverIn(message: Message, delayMs: number): void {
    const { era } = this;
    this.clock.setTimer(delayMs, () => {
      if (era !== this.era) return;
      const receive = this.receivers.get(message.to);
      if (!receive || this.cut.has(`${message.from}>${message.to}`)) return;
      this.onDelivery(message);
      receive(message);
    });
  }
}

function sizeBytes(message: Message): number {
  if (message.type === 'snapshot-chunk') return BYTES_PER_MESSAGE + message.data.length;
  if (message.type !== 'append-entries') return BYTES_PER_MESSAGE;
  return message.entries.reduce((sum, entry) => sum + entrySizeBytes(entry), BYTES_PER_MESSAGE);
}
