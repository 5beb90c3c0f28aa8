import type { PeerMessage, ProtocolMessage } from '@concordat/commit-protocol';
import { fitText } from '@concordat/foundation';
import type { InstanceStreams, OutgoingMessage } from '../bus.js';
import { objectionTo } from '../contract/permissions.js';
import {
  decideTopic,
  isParticipantName,
  OUTCOMES_TOPIC,
  DEAD_LETTER_TOPIC,
  prepareTopic,
  REPLIES_TOPIC,
} from '../contract/topics.js';
import { DirectBus, type DirectBusOptions } from './direct-bus.js';
import { LinkFrameError, type StreamMessage, type TextFrameType } from './frames.js';
import { parseText, refuseHello, type CoordinatorStatus, type Hello, type StreamRefusal } from './handshake.js';
import type { AttachSocket, DirectStream } from './stream.js';
import type { StreamIdentity } from './tls.js';

/** Maximum number of streams of one participant. */
const MAXIMUM_STREAMS_PER_PARTICIPANT = 256;
export const MAXIMUM_STREAMS = 1_024;
const MAXIMUM_DETAIL_LENGTH = 300;
/** Streams without a completed handshake. */
const MAXIMUM_GREETING = 64;
/** Connections accepted within a second; the callers of others try again. */
const MAXIMUM_HANDSHAKES_PER_SECOND = 200;
/** Transactions whose instance is remembered; an older one may go to another instance, which is safe. */
const MAXIMUM_AFFINITIES = 16_384;

const DECIDE = decideTopic('');
/** What a branch says to a branch. */
const BETWEEN_BRANCHES: ReadonlySet<string> = new Set<PeerMessage['type']>([
  'ballot-request',
  'ballot-answer',
  'decision',
  'termination-due',
]);

export interface DirectCoordinatorOptions extends DirectBusOptions {
  readonly nodeId: number;
  /** the status for a participant that connects */
  readonly status: CoordinatorStatus;
  /** maximum number of streams; default and maximum 1,024 */
  readonly maximumStreams?: number;
  /** told of each stream that is refused for what its participant says */
  readonly onRefused?: (participant: string | undefined, refusal: StreamRefusal) => void;
  /** told of each message that a participant may not say */
  readonly onDisbelieved?: (participant: string, complaint: string) => void;
}

interface ParticipantStream {
  readonly hello: Hello;
  readonly stream: DirectStream;
  readonly identity: StreamIdentity;
}

const PLAIN: StreamIdentity = { isSecure: false };

/**
 * A coordinator's end of the direct link: accepts the streams of participants, and finds the stream for a message.
 *
 * All messages of a transaction go to one process of a participant while its stream is open, otherwise to the next one
 * in turn. A `prepare` of a held branch goes to the instance that holds it and nowhere else; its decision goes there if
 * it has a stream. A message from a branch to a branch of another participant is forwarded, so that branches can decide among
 * themselves while one coordinator is alive. `outcomes` and dead letters are not sent over streams.
 */
export class DirectCoordinatorBus extends DirectBus {
  private readonly participants = new Map<string, ParticipantStream[]>();
  /** the process of a transaction at a participant; only for participants with several processes */
  private readonly affinities = new Map<string, DirectStream>();
  private turn = 0;
  private greeting = 0;
  /** connections accepted since then */
  private readonly handshakes = { since: -Infinity, count: 0 };
  private status: CoordinatorStatus;

  constructor(private readonly coordinator: DirectCoordinatorOptions) {
    super(coordinator);
    this.status = coordinator.status;
  }

  async start(): Promise<void> {
    return undefined;
  }

  isConnected(): boolean {
    return !this.stopped;
  }

  obstacle(): string | undefined {
    return undefined;
  }

  streamCounts(): ReadonlyMap<string, number> {
    return new Map([...this.participants].map(([participant, streams]) => [participant, streams.length]));
  }

  override readonly instances: InstanceStreams = {
    has: (participant, instance) => this.streamOf(participant, instance) !== undefined,
  };

  /**
   * Sends the status to every participant; call it when the node begins or stops leading, and when the group changes.
   */
  setStatus(status: CoordinatorStatus): void {
    this.status = status;
    for (const streams of this.participants.values()) {
      for (const { stream, identity } of streams) stream.sendText('status', statusFor(status, identity));
    }
  }

  /** Ends the streams whose certificate counts no longer: call it when certificates were revoked. */
  checkIdentities(): void {
    for (const { stream, identity, hello } of [...this.participants.values()].flat()) {
      const fault = identity.fault?.();
      if (fault !== undefined) this.refuse(stream, hello.participant, { code: 'NOT_YOU', detail: fault });
    }
  }

  /** Accepts a connection; its first frame must be a participant's hello, in a name that its certificate has. */
  accept(attach: AttachSocket, identity: StreamIdentity = PLAIN): void {
    let known: ParticipantStream | undefined;
    this.greeting++;
    const stream: DirectStream = this.createStream(attach, {
      onText: (type, text) => {
        if (known) throw new LinkFrameError(`a second greeting of ${known.hello.participant}`);
        known = this.greet(stream, identity, type, text);
        if (known) this.greeting--;
      },
      onMessages: (messages) => {
        if (known) this.receive(known, messages);
      },
      onInvalid: (reason) => {
        const code = known ? 'INVALID_FRAME' : 'INVALID_HELLO';
        this.refuse(stream, known?.hello.participant, { code, detail: fitText(reason, MAXIMUM_DETAIL_LENGTH) });
      },
      onClosed: (reason, lost) => {
        if (known) return this.leave(known, reason, lost);
        this.greeting--;
        this.logger.debug(`a direct stream has ended before its handshake: ${reason}`);
      },
    });
    const refusal = this.refuseConnection();
    if (refusal) stream.refuse(refusal); // not logged: there may be any number of them
  }

  protected override route(outgoing: OutgoingMessage, value: Buffer): DirectStream | boolean {
    const { topic, message } = outgoing;
    if (topic === OUTCOMES_TOPIC || topic === DEAD_LETTER_TOPIC) return true;
    if (!('participant' in message)) return false;
    const participant = addresseeOf(topic);
    const stream = participant === undefined ? undefined : this.choose(participant, message);
    return stream?.send(outgoing, value) ? stream : false;
  }

  private refuseConnection(): StreamRefusal | undefined {
    const { handshakes, streams } = this;
    const now = this.clock.monotonic();
    if (now - handshakes.since >= 1_000) Object.assign(handshakes, { since: now, count: 0 });
    if (++handshakes.count > MAXIMUM_HANDSHAKES_PER_SECOND) {
      const detail = `this coordinator takes ${MAXIMUM_HANDSHAKES_PER_SECOND} streams in a second; try again`;
      return { code: 'TOO_MANY_HANDSHAKES', detail };
    }
    const hasRoom =
      this.greeting <= MAXIMUM_GREETING && streams.size <= (this.coordinator.maximumStreams ?? MAXIMUM_STREAMS);
    return hasRoom && !this.stopped ? undefined : tooMany('this coordinator', streams.size);
  }

  private refuse(stream: DirectStream, participant: string | undefined, refusal: StreamRefusal): void {
    const whose = participant === undefined ? 'an unknown process' : `the participant ${participant}`;
    this.logger.warn(`a stream of ${whose} is refused (${refusal.code}): ${refusal.detail}`);
    this.coordinator.onRefused?.(participant, refusal);
    stream.refuse(refusal);
  }

  private greet(
    stream: DirectStream,
    identity: StreamIdentity,
    type: TextFrameType,
    text: string,
  ): ParticipantStream | undefined {
    const hello = this.readHello(type, text);
    const { participant, instance } = hello;
    const refusal = refuseHello(this.namespace.cluster, hello, identity.participants);
    if (refusal) {
      this.refuse(stream, participant, refusal);
      return undefined;
    }
    const others = this.participants.get(participant) ?? [];
    if (
      others.length >= MAXIMUM_STREAMS_PER_PARTICIPANT &&
      !others.some((other) => other.hello.instance === instance)
    ) {
      this.refuse(stream, participant, tooMany(participant, others.length));
      return undefined;
    }
    for (const other of others) {
      if (other.hello.instance === instance) other.stream.close('the process has connected again');
    }
    const known = { hello, stream, identity };
    this.participants.set(participant, [...(this.participants.get(participant) ?? []), known]);
    stream.sendText('welcome', { nodeId: this.coordinator.nodeId, status: statusFor(this.status, identity) });
    stream.greeted();
    this.logger.info(`${participant} (${instance}) is connected directly`);
    return known;
  }

  private readHello(type: TextFrameType, text: string): Hello {
    if (type !== 'hello') throw new LinkFrameError(`a ${type} of a participant`);
    return parseText('hello', text);
  }

  private leave(known: ParticipantStream, reason: string, lost: readonly OutgoingMessage[]): void {
    const { participant, instance } = known.hello;
    const left = (this.participants.get(participant) ?? []).filter((other) => other !== known);
    if (left.length > 0) this.participants.set(participant, left);
    else this.participants.delete(participant);
    if (!this.stopped) this.logger.info(`the direct stream of ${participant} (${instance}) has ended: ${reason}`);
    this.resendLost(lost);
  }

  private receive(known: ParticipantStream, messages: readonly StreamMessage[]): void {
    const { participant } = known.hello;
    for (const received of messages) {
      const message = this.decode(received, participant);
      if (!message) continue;
      this.remember(known, message);
      if (received.topic === REPLIES_TOPIC) {
        if ('participant' in message && message.participant === participant) this.deliver(REPLIES_TOPIC, message);
        else this.refuseMessage(received, participant, `a ${message.type} for another participant`);
      } else {
        this.passOn(known, received, message);
      }
    }
  }

  private refuseMessage(received: StreamMessage, participant: string, complaint: string): void {
    this.disbelieve(received, participant, complaint);
    this.coordinator.onDisbelieved?.(participant, complaint);
  }

  /** From a branch to a branch. Lost when that participant has no stream here; the sender asks again. */
  private passOn({ hello, identity }: ParticipantStream, received: StreamMessage, message: ProtocolMessage): void {
    const { topic } = received;
    const participant = addresseeOf(topic);
    if (participant === undefined || !topic.startsWith(DECIDE) || !BETWEEN_BRANCHES.has(message.type))
      throw new LinkFrameError('a message that no coordinator reads or forwards');
    const { participant: from } = hello;
    const complaint = objectionTo(`participant:${from}`, decideTopic(participant), message);
    if (complaint !== undefined) return this.refuseMessage(received, from, complaint);
    const isKnown = identity.participants !== undefined && from !== participant;
    try {
      this.offer({ topic: decideTopic(participant), message: isKnown ? asQuestion(message) : message });
    } catch (error) {
      this.failed('a message of a branch could not be forwarded', error);
    }
  }

  private choose(participant: string, message: ProtocolMessage): DirectStream | undefined {
    const streams = this.participants.get(participant);
    if (!streams) return undefined;
    const holder = 'heldBy' in message && message.heldBy !== undefined && this.streamOf(participant, message.heldBy);
    if (holder) return holder;
    if (message.type === 'prepare' && message.heldBy !== undefined) return undefined; // only its holder can prepare it
    if (streams.length === 1 || !('transactionId' in message)) return streams[0]?.stream;
    const key = affinityKey(participant, message.transactionId);
    const known = this.affinities.get(key);
    if (known?.isOpen) return known;
    const { stream } = streams[++this.turn % streams.length]!;
    this.setAffinity(key, stream);
    return stream;
  }

  private streamOf(participant: string, instance: string): DirectStream | undefined {
    return this.participants.get(participant)?.find(({ hello, stream }) => hello.instance === instance && stream.isOpen)
      ?.stream;
  }

  /** Records that the sender has the transaction. */
  private remember({ hello, stream }: ParticipantStream, message: ProtocolMessage): void {
    if (!('transactionId' in message) || (this.participants.get(hello.participant)?.length ?? 0) < 2) return;
    const key = affinityKey(hello.participant, message.transactionId);
    if (!this.affinities.get(key)?.isOpen) this.setAffinity(key, stream);
  }

  private setAffinity(key: string, stream: DirectStream): void {
    this.affinities.delete(key);
    this.affinities.set(key, stream);
    if (this.affinities.size <= MAXIMUM_AFFINITIES) return;
    const [oldest] = this.affinities.keys();
    this.affinities.delete(oldest!);
  }
}

/** Who speaks TLS is told where the others do. */
function statusFor(status: CoordinatorStatus, { isSecure }: StreamIdentity): CoordinatorStatus {
  if (!isSecure) return status;
  return { ...status, members: status.members.map((url) => url.replace(/^http:/, 'https:')) };
}

/**
 * A branch hears the decision of another participant from the coordinator, and would take it for the coordinator's own.
 * That participant may have no branch in the transaction, so the branch is told to ask the others itself, as where
 * messages are signed. In plain text, where anybody can name himself anything, this would stop nobody.
 */
function asQuestion(message: ProtocolMessage): ProtocolMessage {
  if (message.type !== 'decision') return message;
  const { transactionId, branchId, participant } = message;
  return { type: 'termination-due', transactionId, branchId, participant };
}

function tooMany(whose: string, count: number): StreamRefusal {
  return { code: 'TOO_MANY_STREAMS', detail: `${whose} has ${count} streams already` };
}

function affinityKey(participant: string, transactionId: string): string {
  return `${participant}/${transactionId}`;
}

/** The participant of `prepare.<participant>` or `decide.<participant>`. */
function addresseeOf(topic: string): string | undefined {
  const participant = topic.slice(topic.indexOf('.') + 1);
  if (!isParticipantName(participant)) return undefined;
  return topic === prepareTopic(participant) || topic === decideTopic(participant) ? participant : undefined;
}
