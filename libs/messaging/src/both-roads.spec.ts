import { describe, expect, it } from '@jest/globals';
import type { DecisionMessage, ProtocolMessage, VoteMessage } from '@concordat/commit-protocol';
import { SeededRandom, VirtualClock } from '@concordat/foundation';
import { BothRoads } from './both-roads.js';
import type { OutgoingMessage } from './bus.js';
import { DEAD_LETTER_HEADERS } from './contract/dead-letter.js';
import { DEAD_LETTER_TOPIC, decideTopic, OUTCOMES_TOPIC, REPLIES_TOPIC, type Topic } from './contract/topics.js';
import { DirectCoordinatorBus } from './direct/coordinator-end.js';
import type { StreamLimits } from './direct/stream.js';
import { DirectParticipantBus } from './direct/participant-end.js';
import { MemoryBroker } from './testing/memory-broker.js';
import { MemoryMessageBus } from './testing/memory-bus.js';
import { MemoryStreams } from './testing/memory-streams.js';

const CLUSTER = 'test';
const INSTANCE = 'bank-a-1';
const URL_OF_COORDINATOR = 'http://coordinator';

function idOf(number: number): string {
  return `018f2d3c-1111-7abc-8def-${String(number).padStart(12, '0')}`;
}

function decision(transaction: number, attempt = 0): OutgoingMessage {
  const id = idOf(transaction);
  const message: DecisionMessage = {
    type: 'decision',
    transactionId: id,
    branchId: id,
    participant: 'bank-a',
    decision: 'commit',
    attempt,
  };
  return { topic: decideTopic('bank-a'), message };
}

function vote(transaction: number): OutgoingMessage {
  const id = idOf(transaction);
  const message: VoteMessage = {
    type: 'vote',
    transactionId: id,
    branchId: id,
    participant: 'bank-a',
    vote: 'yes',
    results: [],
  };
  return { topic: REPLIES_TOPIC, message };
}

interface WorldOptions {
  readonly withoutStreams?: boolean;
  readonly limits?: Partial<StreamLimits>;
  readonly participant?: typeof DirectParticipantBus;
}

/** A participant whose messages nobody can read. */
class BabblingBus extends DirectParticipantBus {
  protected override route(outgoing: OutgoingMessage): ReturnType<DirectParticipantBus['offer']> {
    return super.route(outgoing, Buffer.from('babble'));
  }
}

/** A coordinator and a participant with both roads between them. */
class World {
  readonly clock = new VirtualClock();
  readonly streams = new MemoryStreams(this.clock, new SeededRandom(1));
  readonly broker = new MemoryBroker({ clock: this.clock, random: new SeededRandom(2) });
  readonly atCoordinator: number[] = [];
  readonly atParticipant: number[] = [];
  /** while true, no turn of the event loop ends */
  isTurnHeld = false;
  readonly coordinatorStreams: DirectCoordinatorBus;
  readonly coordinator: BothRoads;
  readonly participant: BothRoads;

  constructor(limits: Partial<StreamLimits> = {}, Participant = DirectParticipantBus) {
    const { clock, streams, broker } = this;
    const defer = (action: () => void): void => void (this.isTurnHeld || queueMicrotask(action));
    const shared = { cluster: CLUSTER, clock, limits, defer };
    const status = { leads: true, term: 1, members: [] };
    const coordinator = new DirectCoordinatorBus({ ...shared, nodeId: 1, status });
    const participant = new Participant({
      ...shared,
      participant: 'bank-a',
      instance: INSTANCE,
      coordinators: [URL_OF_COORDINATOR],
      dial: (url) => streams.dial(url),
      random: new SeededRandom(3),
    });
    this.coordinatorStreams = coordinator;
    this.coordinator = new BothRoads(coordinator, new MemoryMessageBus(broker, { cluster: CLUSTER }));
    this.participant = new BothRoads(participant, new MemoryMessageBus(broker, { cluster: CLUSTER }));
  }

  static async start(options: WorldOptions = {}): Promise<World> {
    const world = new World(options.limits, options.participant);
    if (!options.withoutStreams) world.listen();
    await world.coordinator.start();
    await world.coordinator.ensureTopics([REPLIES_TOPIC, OUTCOMES_TOPIC]);
    await world.participant.start();
    const note = (seen: number[]) => (message: ProtocolMessage) =>
      void ('transactionId' in message && seen.push(Number(message.transactionId.slice(-12))));
    await world.coordinator.subscribe({ group: 'c', topics: [REPLIES_TOPIC], onMessage: note(world.atCoordinator) });
    const topics = [decideTopic('bank-a')];
    await world.participant.subscribe({ group: 'p', topics, onMessage: note(world.atParticipant) });
    await world.run(100);
    return world;
  }

  listen(): void {
    this.streams.listen(URL_OF_COORDINATOR, (attach) => this.coordinatorStreams.accept(attach));
  }

  onBroker(topic: Topic): number {
    return this.broker.recordsOf(`concordat.${CLUSTER}.${topic}`).length;
  }

  async run(durationMs: number): Promise<void> {
    for (let passed = 0; passed < durationMs; passed += 10) {
      this.clock.advance(10);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    }
  }
}

describe('both roads', () => {
  it('send what is new over a stream alone', async () => {
    const world = await World.start();
    await world.coordinator.publish([decision(1)]);
    await world.participant.publish([vote(1)]);
    await world.run(100);
    expect([world.atParticipant, world.atCoordinator]).toEqual([[1], [1]]);
    expect([world.onBroker('decide.bank-a'), world.onBroker('replies')]).toEqual([0, 0]);
  });

  it('send at once what somebody waits for', async () => {
    const world = await World.start();
    world.isTurnHeld = true;
    const published: number[] = [];
    void world.coordinator.publish([decision(1)]).then(() => published.push(1));
    await world.run(100);
    expect([world.atParticipant, published]).toEqual([[], []]);
    await world.coordinator.publish([decision(2)], { atOnce: true });
    await world.run(100);
    expect([world.atParticipant, published]).toEqual([[1, 2], [1]]);
  });

  it.each([0, 3])('never send the prepare of a held branch over the broker (attempt %i)', async (attempt) => {
    const world = await World.start();
    const { message } = decision(1, attempt) as { message: DecisionMessage };
    const { transactionId, branchId, participant } = message;
    const work = { operations: [], deadline: 1, attempt, epoch: { term: 1, index: 1 }, heldBy: 'another process' };
    const prepare = { type: 'prepare', protocol: '2pc', transactionId, branchId, participant, ...work } as const;
    await world.coordinator.publish([{ topic: decideTopic('bank-a'), message: prepare }]);
    await world.run(100);
    expect([world.atParticipant, world.onBroker('decide.bank-a')]).toEqual([[], 0]);
    await world.coordinator.publish([{ topic: decideTopic('bank-a'), message: { ...prepare, heldBy: INSTANCE } }]);
    world.streams.breakAll(); // what is lost with the stream is not sent over the broker either
    await world.run(3_000);
    expect(world.onBroker('decide.bank-a')).toBe(0);
  });

  it('send over the broker while no stream stands', async () => {
    const world = await World.start({ withoutStreams: true });
    void world.coordinator.publish([decision(1)]);
    void world.participant.publish([vote(1)]);
    await world.run(100);
    expect([world.atParticipant, world.atCoordinator]).toEqual([[1], [1]]);
  });

  it('send again over both, and what answers a repetition, too', async () => {
    const world = await World.start();
    await world.coordinator.publish([decision(1)]);
    void world.coordinator.publish([decision(2, 1)]);
    await world.run(100);
    expect(world.atParticipant).toEqual([1, 2, 2]);
    void world.participant.publish([vote(1)]);
    void world.participant.publish([vote(2)]);
    await world.run(100);
    expect(world.atCoordinator.toSorted()).toEqual([1, 2, 2]);
    expect([world.onBroker('decide.bank-a'), world.onBroker('replies')]).toEqual([1, 1]);
  });

  it('hand what was under way on a broken stream to the broker at once', async () => {
    const world = await World.start();
    world.streams.setFaults({ minimumDelayMs: 1_000, maximumDelayMs: 1_000 });
    await world.coordinator.publish([decision(1), decision(2)]);
    await world.participant.publish([vote(3)]);
    await world.run(50);
    expect([world.atParticipant, world.atCoordinator]).toEqual([[], []]);
    world.streams.setFaults({});
    world.streams.breakAll();
    await world.run(50);
    expect([world.atParticipant.toSorted(), world.atCoordinator]).toEqual([[1, 2], [3]]);
  });

  it('hand what a slow reader does not acknowledge to the broker, and give its stream up', async () => {
    const world = await World.start({ limits: { bufferedMessages: 100 } });
    world.streams.swallowAll();
    const transactions = Array.from({ length: 300 }, (_, index) => index);
    void world.coordinator.publish(transactions.map((transaction) => decision(transaction)));
    await world.run(100);
    expect(world.atParticipant.toSorted((one, other) => one - other)).toEqual(transactions.slice(100));
    await world.run(3_000);
    expect(new Set(world.atParticipant)).toEqual(new Set(transactions));
  });

  it('lose nothing and wait for nobody while the broker is away', async () => {
    const world = await World.start();
    world.broker.takeDown();
    await world.coordinator.publish([decision(1), decision(2, 1)]);
    await world.coordinator.publish([decision(3, 1)]); // again, and nothing else: a stream has it
    await world.participant.publish([vote(1)]);
    await world.run(100);
    expect([world.atParticipant, world.atCoordinator]).toEqual([[1, 2, 3], [1]]);
    expect(world.coordinator.isConnected()).toBe(true);
    expect(world.coordinator.obstacle()).toBeUndefined();
  });

  it('say what is in the way only when there is neither a broker nor a stream', async () => {
    const world = await World.start({ withoutStreams: true });
    const ends = [world.coordinator, world.participant];
    expect(ends.map((end) => [end.isConnected(), end.obstacle()])).toEqual([
      [true, undefined],
      [true, undefined],
    ]);
    world.broker.takeDown();
    expect(ends.map((end) => end.isConnected())).toEqual([false, false]);
    expect(world.coordinator.obstacle()).toBe('no participant is connected directly; the broker cannot be reached');
    expect(world.participant.obstacle()).toMatch(/^no coordinator can be reached directly; .*; the broker cannot be/);
    world.listen();
    await world.run(2_000);
    expect(ends.map((end) => [end.isConnected(), end.obstacle()])).toEqual([
      [true, undefined],
      [true, undefined],
    ]);
  });

  it('send outcomes over the broker alone', async () => {
    const world = await World.start();
    const message: ProtocolMessage = {
      type: 'outcome',
      transactionId: idOf(1),
      outcome: 'committed',
      decidedAt: 1,
      endedAt: 2,
      participants: [],
    };
    void world.coordinator.publish([{ topic: OUTCOMES_TOPIC, message }]);
    await world.run(100);
    expect(world.onBroker('outcomes')).toBe(1);
  });

  it('put the dead letters of a stream into the topic of the broker', async () => {
    const world = await World.start({ participant: BabblingBus });
    await world.participant.publish([vote(1)]);
    await world.run(100);
    expect([world.atCoordinator, world.coordinator.deadLetters().NOT_JSON]).toEqual([[], 1]);
    const letters = world.broker.recordsOf(`concordat.${CLUSTER}.${DEAD_LETTER_TOPIC}`);
    expect(letters).toHaveLength(1);
    expect(letters[0]).toMatchObject({
      value: Buffer.from('babble'),
      headers: {
        [DEAD_LETTER_HEADERS.reason]: 'NOT_JSON',
        [DEAD_LETTER_HEADERS.topic]: 'bank-a:replies',
      },
    });
  });

  it('pause and resume together', async () => {
    const world = await World.start();
    const subscription = await world.participant.subscribe({
      group: 'other',
      topics: [decideTopic('bank-a')],
      onMessage: () => undefined,
    });
    subscription.pause();
    expect(subscription.idleMs()).toBe(0);
    subscription.resumeFromLatest();
    await subscription.stop();
    await world.coordinator.publish([decision(1)]);
    await world.run(100);
    expect(world.atParticipant).toEqual([1]);
  });
});
