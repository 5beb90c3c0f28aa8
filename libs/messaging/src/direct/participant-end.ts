import { backoffMs, errorMessage, fitText, type Random, type Timer } from '@concordat/foundation';
import type { OutgoingMessage } from '../bus.js';
import { decideTopic, prepareTopic, REPLIES_TOPIC } from '../contract/topics.js';
import { DirectBus, type DirectBusOptions } from './direct-bus.js';
import { LinkFrameError, type StreamMessage, type TextFrameType } from './frames.js';
import { LINK_VERSION, parseText, type CoordinatorStatus } from './handshake.js';
import type { AttachSocket, DirectStream } from './stream.js';
import { RENEWED } from './tls.js';

const RECONNECT = { baseMs: 100, capMs: 1_000 };
/** Interval at which another URL of a connected node is tried. */
const ALIAS_INTERVAL_MS = 5_000;
/** Maximum number of coordinators to call. */
const MAXIMUM_COORDINATORS = 64;

/**
 * Connects to the coordinator at a URL; undefined when `isConnected` says that its node has a stream already, by another
 * URL. Rejects with the reason as a sentence.
 */
export type Dial = (url: string, isConnected: (nodeId: number) => boolean) => Promise<AttachSocket | undefined>;

export interface DirectParticipantOptions extends DirectBusOptions {
  readonly participant: string;
  /** names this process; default a name of its own */
  readonly instance?: string;
  /** URLs of the first coordinators; they name the others */
  readonly coordinators: readonly string[];
  readonly dial: Dial;
  readonly random: Random;
}

/** A coordinator that has accepted this process. */
interface Welcomed {
  readonly nodeId: number;
  readonly stream: DirectStream;
  status: CoordinatorStatus;
}

/**
 * A participant's end of the direct link: one stream to each coordinator, reopened whenever it ends. Answers go to the
 * leader, which alone uses them; so do messages to a branch of another participant, which the leader forwards.
 */
export class DirectParticipantBus extends DirectBus {
  private readonly callers = new Map<string, CoordinatorCaller>();
  private readonly instance: string;
  /** the URLs of the options, which are called for as long as this process runs */
  private readonly given: ReadonlySet<string>;
  private started = false;
  /** the leader when `onNewLeader` was last called */
  private knownLeader: { readonly stream: DirectStream; readonly term: number } | undefined;

  constructor(private readonly options: DirectParticipantOptions) {
    super(options);
    this.instance = options.instance ?? `process-${options.random.uint32().toString(16)}`;
    this.given = new Set(options.coordinators.map(originOf));
    for (const url of this.given) this.addCoordinator(url);
  }

  async start(): Promise<void> {
    this.started = true;
    for (const caller of this.callers.values()) caller.start();
  }

  isConnected(): boolean {
    return !this.stopped && this.welcomed().length > 0;
  }

  obstacle(): string | undefined {
    if (this.isConnected()) return undefined;
    const problems = [...this.callers.values()].flatMap(({ problem }) => problem ?? []);
    return ['no coordinator can be reached directly', ...new Set(problems)].join('; ');
  }

  override async stop(): Promise<void> {
    for (const caller of this.callers.values()) caller.stop();
    await super.stop();
  }

  override crash(): void {
    for (const caller of this.callers.values()) caller.stop();
    super.crash();
  }

  protected override route(outgoing: OutgoingMessage, value: Buffer): DirectStream | boolean {
    const { topic, message } = outgoing;
    if (topic !== REPLIES_TOPIC && this.isSubscribed(topic)) {
      this.deferDelivery(topic, message); // from this process to itself
      return true;
    }
    const leader = this.leader();
    const stream = leader ?? (topic === REPLIES_TOPIC ? undefined : this.welcomed()[0]);
    return stream?.stream.send(outgoing, value) ? stream.stream : false;
  }

  private welcomed(): Welcomed[] {
    return [...this.callers.values()].flatMap(({ welcomed }) => welcomed ?? []);
  }

  /** The one with the latest term, of those that claim to lead: the others do not know yet that they are deposed. */
  private leader(): Welcomed | undefined {
    let latest: Welcomed | undefined;
    for (const { welcomed } of this.callers.values()) {
      if (welcomed?.status.leads && welcomed.status.term >= (latest?.status.term ?? 0)) latest = welcomed;
    }
    return latest;
  }

  private addCoordinator(url: string): void {
    if (this.callers.has(url) || this.callers.size >= MAXIMUM_COORDINATORS) return;
    const { clock, random, dial } = this.options;
    const caller: CoordinatorCaller = new CoordinatorCaller(url, {
      random,
      setTimer: (delayMs, action) => clock.setTimer(delayMs, action),
      dial: (target) => dial(target, (nodeId) => this.welcomed().some((other) => other.nodeId === nodeId)),
      open: (attach) => this.open(caller, attach),
      isWanted: () => this.isWanted(url),
      onUnwanted: () => this.callers.delete(url),
      onProblem: (problem) => this.logger.warn(`the coordinator at ${url} cannot be reached directly: ${problem}`),
    });
    this.callers.set(url, caller);
    if (this.started && !this.stopped) caller.start();
  }

  /** The leader knows the group. One that has left it is no longer called, or addresses would add up for ever. */
  private isWanted(url: string): boolean {
    const leader = this.leader();
    return !leader || this.given.has(url) || leader.status.members.some((member) => originOf(member) === url);
  }

  private open(caller: CoordinatorCaller, attach: AttachSocket): DirectStream {
    const stream: DirectStream = this.createStream(attach, {
      onText: (type, text) => this.read(caller, stream, type, text),
      onMessages: (messages) => this.receive(caller, messages),
      onClosed: (reason, lost) => {
        caller.closed(reason);
        this.resendLost(lost);
      },
    });
    const { participant } = this.options;
    const { cluster } = this.namespace;
    stream.sendText('hello', { v: LINK_VERSION, cluster, participant, instance: this.instance });
    return stream;
  }

  private read(caller: CoordinatorCaller, stream: DirectStream, type: TextFrameType, text: string): void {
    switch (type) {
      case 'welcome': {
        const { nodeId, status } = parseText(type, text);
        if (caller.welcomed) throw new LinkFrameError('a second welcome');
        // its coordinator has closed the other stream for this one
        this.welcomed()
          .find((other) => other.nodeId === nodeId)
          ?.stream.close('connected by another URL');
        caller.welcome({ nodeId, stream, status });
        stream.greeted();
        this.logger.info(`connected directly to the coordinator ${nodeId} at ${caller.url}`);
        return this.learn(status);
      }
      case 'status': {
        const status = parseText(type, text);
        if (!caller.welcomed) throw new LinkFrameError('a status before the welcome');
        caller.welcomed.status = status;
        return this.learn(status);
      }
      case 'refusal': {
        const { code, detail } = parseText(type, text);
        return stream.close(fitText(`${detail} (${code})`, 500));
      }
      default:
        throw new LinkFrameError(`a ${type} of a coordinator`);
    }
  }

  private learn({ members }: CoordinatorStatus): void {
    for (const url of members) this.addCoordinator(originOf(url));
    const leader = this.leader();
    if (!leader) return;
    const { stream } = leader;
    const { term } = leader.status;
    if (stream === this.knownLeader?.stream && term === this.knownLeader.term) return;
    this.knownLeader = { stream, term };
    this.noteNewLeader();
  }

  private receive({ url }: CoordinatorCaller, messages: readonly StreamMessage[]): void {
    const { participant } = this.options;
    const own: readonly string[] = [prepareTopic(participant), decideTopic(participant)];
    for (const received of messages) {
      if (!own.includes(received.topic)) throw new LinkFrameError('a topic of another participant');
      const message = this.decode(received, url);
      if (message) this.deliver(received.topic, message);
    }
  }
}

interface CallerDependencies {
  readonly random: Random;
  readonly setTimer: (delayMs: number, action: () => void) => Timer;
  readonly dial: (url: string) => Promise<AttachSocket | undefined>;
  readonly open: (attach: AttachSocket) => DirectStream;
  /** asked before each further call; after a no there is none, and `onUnwanted` is called */
  readonly isWanted: () => boolean;
  readonly onUnwanted: () => void;
  readonly onProblem: (problem: string) => void;
}

/** Calls one coordinator repeatedly. States: waiting ⇄ dialling → greeting → welcomed → waiting; stopped. */
class CoordinatorCaller {
  welcomed: Welcomed | undefined;
  /** why it is not welcomed, if known */
  problem: string | undefined;
  private attempts = 0;
  private stopped = false;
  private started = false;
  private timer: Timer | undefined;

  constructor(
    readonly url: string,
    private readonly dependencies: CallerDependencies,
  ) {}

  start(): void {
    if (this.started) return;
    this.started = true;
    void this.call();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  welcome(welcomed: Welcomed): void {
    this.welcomed = welcomed;
    this.problem = undefined;
    this.attempts = 0;
  }

  closed(reason: string): void {
    this.welcomed = undefined;
    if (reason === RENEWED) this.callLater(0);
    else this.failed(reason);
  }

  private async call(): Promise<void> {
    let attach: AttachSocket | undefined;
    try {
      attach = await this.dependencies.dial(this.url);
    } catch (error) {
      return this.failed(errorMessage(error));
    }
    if (!attach) this.callLater(ALIAS_INTERVAL_MS);
    else if (this.stopped) attach({ onBytes: ignore, onDrained: ignore, onClosed: ignore }).destroy();
    else this.dependencies.open(attach);
  }

  private failed(problem: string): void {
    if (this.stopped) return;
    if (problem !== this.problem) this.dependencies.onProblem(problem);
    this.problem = problem;
    this.callLater(backoffMs(this.attempts++, RECONNECT, this.dependencies.random));
  }

  private callLater(delayMs: number): void {
    if (this.stopped) return;
    this.timer = this.dependencies.setTimer(delayMs, () => {
      if (this.dependencies.isWanted()) void this.call();
      else this.dependencies.onUnwanted();
    });
  }
}

function originOf(url: string): string {
  return new URL(url).origin;
}

function ignore(): void {
  return undefined;
}
