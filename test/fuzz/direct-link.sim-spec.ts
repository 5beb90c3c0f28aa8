import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { SeededRandom, silentLogger, VirtualClock, type Random } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import {
  decideTopic,
  DirectCoordinatorBus,
  DirectParticipantBus,
  encodeMessage,
  prepareTopic,
  REPLIES_TOPIC,
  type AttachSocket,
  type OutgoingMessage,
  type SocketEvents,
} from '@concordat/messaging';
import { MemoryStreams } from '@concordat/messaging/testing';
import { eachWorld } from './replay.js';
import { damageStream, inPieces } from './stream-shots.js';

/** 200,000 in all in the nightly tests: a conversation costs the time of twenty messages. */
const SHOTS_PER_SIDE = Number(
  process.env['FUZZ_MESSAGES'] ?? (process.env['CONCORDAT_NIGHTLY'] === '1' ? 100_000 : 5_000),
);
const WORLDS = 10;
const SHOTS_PER_WORLD = Math.ceil(SHOTS_PER_SIDE / WORLDS);
/** Between two messages over the streams that nobody attacks. */
const PROBE_EVERY = 250;
/** One second: a coordinator takes so many handshakes in it. */
const SHOTS_PER_SECOND = 100;
const CLUSTER = 'fuzz';
const TIMEOUT_MS = 1_800_000;
const HEALTHY_URL = 'http://healthy';
const HOSTILE_URL = 'http://hostile';
/** Far from each other, so that no damage makes one of the other. */
const HEALTHY_NODE = 42;
const HOSTILE_NODE = 700_001;
const REASON = /"code":"(OTHER_CLUSTER|UNKNOWN_VERSION|INVALID_HELLO|INVALID_FRAME|TOO_MANY_STREAMS)","detail":"[^"]/;
const MAXIMUM_GROWTH_BYTES = 48 * 2 ** 20;

const idOf = (number: number): string => `018f2d3c-1111-7abc-8def-${String(number).padStart(12, '0')}`;

function decision(participant: string, number: number): OutgoingMessage {
  const address = { transactionId: idOf(number), branchId: idOf(number), participant };
  return {
    topic: decideTopic(participant),
    message: { type: 'decision', ...address, decision: 'commit', attempt: 0 },
  };
}

function prepare(participant: string, number: number): OutgoingMessage {
  const operations = [{ operation: 'debit', payload: { account: 'a', amount: number }, keys: ['a'] }];
  const address = { transactionId: idOf(number), branchId: idOf(number), participant };
  const epoch = { term: 1, index: number };
  const message = { type: 'prepare', protocol: '2pc', ...address, operations, deadline: 1, attempt: 0, epoch } as const;
  return { topic: prepareTopic(participant), message };
}

function vote(participant: string, number: number): OutgoingMessage {
  const address = { transactionId: idOf(number), branchId: idOf(number), participant };
  return { topic: REPLIES_TOPIC, message: { type: 'vote', ...address, vote: 'yes', results: [{ balance: number }] } };
}

/** Both ends with a healthy stream between them, on one network and one clock. */
class World {
  readonly clock = new VirtualClock();
  private readonly streams = new MemoryStreams(this.clock, new SeededRandom(1));
  /** the last reason for which the participant closed a stream */
  latestProblem = '';
  readonly atCoordinator: ProtocolMessage[] = [];
  readonly atParticipant: ProtocolMessage[] = [];
  readonly coordinator: DirectCoordinatorBus;
  readonly participant: DirectParticipantBus;
  /** connections of the participant to the hostile coordinator, not attacked yet */
  readonly victims: Victim[] = [];
  /** what a participant and a coordinator write in a conversation, one frame each */
  readonly said = { participant: [] as Buffer[], coordinator: [] as Buffer[] };
  private probes = 0;

  constructor() {
    const { clock, streams } = this;
    const warn = (line: string): void => {
      if (line.startsWith('the coordinator at')) this.latestProblem = line;
    };
    const logger = { ...silentLogger, warn };
    const shared = { cluster: CLUSTER, clock, logger, defer: (action: () => void) => void clock.setTimer(0, action) };
    const status = { leads: true, term: 5, members: ['http://one:8081', 'http://two:8081'] };
    this.coordinator = new DirectCoordinatorBus({ ...shared, nodeId: HEALTHY_NODE, status });
    streams.listen(HEALTHY_URL, (attach) => this.coordinator.accept(attach));
    this.participant = new DirectParticipantBus({
      ...shared,
      participant: 'bank-healthy',
      instance: 'healthy',
      coordinators: [HEALTHY_URL, HOSTILE_URL],
      random: new SeededRandom(2),
      dial: async (url) => {
        if (url === HEALTHY_URL) return streams.dial(url);
        if (url !== HOSTILE_URL) throw new Error(`nobody listens at ${url}`);
        const victim = new Victim();
        this.victims.push(victim);
        return victim.attach;
      },
    });
  }

  static async start(): Promise<World> {
    const world = new World();
    await world.record();
    const { coordinator, participant } = world;
    await coordinator.start();
    await coordinator.subscribe({
      group: 'any',
      topics: [REPLIES_TOPIC],
      onMessage: (message) => void world.atCoordinator.push(message),
    });
    const topics = [prepareTopic('bank-healthy'), decideTopic('bank-healthy')];
    const onMessage = (message: ProtocolMessage): void => void world.atParticipant.push(message);
    await participant.subscribe({ group: 'any', topics, onMessage });
    await participant.start();
    await world.run(100);
    return world;
  }

  /** A valid conversation, as real ends have it. */
  private async record(): Promise<void> {
    const { clock, said } = this;
    const shared = { cluster: CLUSTER, clock, defer: (action: () => void) => void clock.setTimer(0, action) };
    const status = { leads: true, term: 5, members: ['http://one:8081', 'http://two:8081'] };
    const coordinator = new DirectCoordinatorBus({ ...shared, nodeId: HOSTILE_NODE, status });
    const streams = new MemoryStreams(clock, new SeededRandom(1));
    streams.listen(HOSTILE_URL, (attach) => coordinator.accept(recording(attach, said.coordinator)));
    const participant = new DirectParticipantBus({
      ...shared,
      participant: 'bank-healthy',
      instance: 'recorded',
      coordinators: [HOSTILE_URL],
      random: new SeededRandom(2),
      dial: async (url) => recording(await streams.dial(url), said.participant),
    });
    await participant.start();
    await this.run(100);
    for (let number = 1; number <= 3; number++) {
      const published = [
        participant.publish([vote('bank-healthy', number), vote('bank-healthy', number + 10)]),
        coordinator.publish([prepare('bank-healthy', number), decision('bank-healthy', number)]),
      ];
      await this.run(300);
      await Promise.all(published);
    }
    coordinator.setStatus({ ...status, leads: false, term: 6 });
    participant.crash();
    coordinator.crash();
  }

  async run(durationMs: number): Promise<void> {
    for (let passed = 0; passed < durationMs; passed += 10) {
      this.clock.advance(10);
      for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    }
  }

  /** Longer than a participant waits before it connects again. */
  async leap(): Promise<void> {
    this.clock.advance(1_000);
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
  }

  /** The streams that nobody attacks still carry messages, both ways. */
  async probe(): Promise<void> {
    const number = 900_000_000 + ++this.probes;
    const arrived = (messages: readonly ProtocolMessage[]): boolean =>
      messages.some((message) => 'transactionId' in message && message.transactionId === idOf(number));
    expect(this.coordinator.offer(decision('bank-healthy', number))).not.toBe(false);
    expect(this.participant.offer(vote('bank-healthy', number))).not.toBe(false);
    await this.run(50);
    expect([arrived(this.atParticipant), arrived(this.atCoordinator)]).toEqual([true, true]);
    for (const message of [...this.atCoordinator, ...this.atParticipant]) encodeMessage(CLUSTER, message); // all valid
    this.atCoordinator.length = 0;
    this.atParticipant.length = 0;
  }
}

/** One end's connection to an attacker. */
class Victim {
  private events: SocketEvents | undefined;
  isClosed = false;
  answer = '';

  readonly attach: AttachSocket = (events) => {
    this.events = events;
    const close = (): void => this.hangUp();
    const write = (bytes: Buffer): void => void (this.answer += bytes.toString('latin1'));
    return { write, bufferedBytes: 0, pause: () => undefined, resume: () => undefined, destroy: close, end: close };
  };

  get isAttached(): boolean {
    return this.events !== undefined;
  }

  hear(bytes: Buffer): void {
    if (!this.isClosed) this.events?.onBytes(bytes);
  }

  hangUp(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events?.onClosed();
  }
}

function recording(attach: AttachSocket, frames: Buffer[]): AttachSocket {
  return (events) => {
    const socket = attach(events);
    return Object.assign(Object.create(socket) as typeof socket, {
      write: (bytes: Buffer) => {
        frames.push(Buffer.from(bytes));
        socket.write(bytes);
      },
    });
  };
}

/** Bytes of live objects. */
function liveBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function attackCoordinator(world: World, random: Random, counts: Counts): Promise<void> {
  // of another process and participant: a stream of the healthy one would take its place
  const frames = world.said.participant.map((frame) => Buffer.from(frame));
  frames[0] = Buffer.from(frames[0]!.toString('latin1').replace('bank-healthy', 'bank-hostile'), 'latin1');
  for (let shot = 0; shot < SHOTS_PER_WORLD; shot++) {
    if (shot % SHOTS_PER_SECOND === 0) world.clock.advance(1_000);
    if (shot % PROBE_EVERY === 0) await world.probe();
    const victim = new Victim();
    world.coordinator.accept(victim.attach);
    inPieces(random, damageStream(random, frames), (piece) => victim.hear(piece));
    if (victim.isClosed) {
      expect(victim.answer).toMatch(REASON);
      counts.refused++;
    } else counts.open++;
    victim.hangUp();
  }
  await world.probe();
  expect([...world.coordinator.streamCounts()]).toEqual([['bank-healthy', 1]]);
}

async function attackParticipant(world: World, random: Random, counts: Counts): Promise<void> {
  for (let shot = 0; shot < SHOTS_PER_WORLD; shot++) {
    if (shot % PROBE_EVERY === 0) await world.probe();
    while (!world.victims[0]?.isAttached) await world.leap();
    const victim = world.victims.shift()!;
    const bytes = damageStream(random, world.said.coordinator);
    inPieces(random, bytes, (piece) => victim.hear(piece));
    if (victim.isClosed) {
      expect(world.latestProblem).toMatch(/^the coordinator at http:\/\/hostile cannot be reached directly: .{9}/);
      counts.refused++;
    } else counts.open++;
    victim.hangUp();
  }
  await world.probe();
}

interface Counts {
  refused: number;
  /** what came was valid, or its end was still to come */
  open: number;
}

describe('direct streams under fire', () => {
  it.each([
    ['a coordinator', attackCoordinator],
    ['a participant', attackParticipant],
  ])(
    `${SHOTS_PER_SIDE} broken conversations at %s: each is refused with a reason or leaves something valid`,
    async (_, attack) => {
      const counts: Counts = { refused: 0, open: 0 };
      let before: number | undefined;
      await eachWorld('direct-link', WORLDS, async (random) => {
        await attack(await World.start(), random, counts);
        before ??= liveBytes(); // after the first world everything is loaded
      });
      expect(counts.refused).toBeGreaterThan(SHOTS_PER_SIDE / 4);
      expect(counts.open).toBeGreaterThan(SHOTS_PER_SIDE / 50);
      expect(liveBytes() - (before ?? 0)).toBeLessThan(MAXIMUM_GROWTH_BYTES);
    },
    TIMEOUT_MS,
  );
});
