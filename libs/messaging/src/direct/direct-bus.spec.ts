import { describe, expect, it } from '@jest/globals';
import type { DecisionMessage, ProtocolMessage, VoteMessage } from '@concordat/commit-protocol';
import { SeededRandom, silentLogger, VirtualClock, type Logger } from '@concordat/foundation';
import type { OutgoingMessage } from '../bus.js';
import { decideTopic, REPLIES_TOPIC } from '../contract/topics.js';
import { MemoryStreams } from '../testing/memory-streams.js';
import { DirectCoordinatorBus } from './coordinator-end.js';
import type { DirectBusOptions } from './direct-bus.js';
import { encodeFrame, type Frame } from './frames.js';
import { LINK_VERSION, type CoordinatorStatus } from './handshake.js';
import { DirectParticipantBus } from './participant-end.js';

const CLUSTER = 'test';

function idOf(number: number): string {
  return `018f2d3c-1111-7abc-8def-${String(number).padStart(12, '0')}`;
}

function decision(participant: string, transaction: number, attempt = 0): OutgoingMessage {
  const id = idOf(transaction);
  const message: DecisionMessage = {
    type: 'decision',
    transactionId: id,
    branchId: id,
    participant,
    decision: 'commit',
    attempt,
  };
  return { topic: decideTopic(participant), message };
}

function vote(participant: string, transaction: number): OutgoingMessage {
  const id = idOf(transaction);
  const message: VoteMessage = { type: 'vote', transactionId: id, branchId: id, participant, vote: 'yes', results: [] };
  return { topic: REPLIES_TOPIC, message };
}

const transactionOf = (message: ProtocolMessage): number =>
  'transactionId' in message ? Number(message.transactionId.slice(-12)) : -1;

/** Coordinators 1 to 3 and processes of participants, on one network and one clock. */
class World {
  readonly clock = new VirtualClock();
  readonly streams = new MemoryStreams(this.clock, new SeededRandom(1));
  readonly complaints: string[] = [];
  readonly coordinators = new Map<number, DirectCoordinatorBus>();
  /** the node at each URL */
  readonly nodes = new Map<string, number>();
  /** what arrived where, as transactions */
  readonly arrived = new Map<string, number[]>();
  /** while true, no turn of the event loop ends */
  isTurnHeld = false;

  private readonly logger: Logger = { ...silentLogger, warn: (text) => void this.complaints.push(text) };

  options(options: Partial<DirectBusOptions> = {}): DirectBusOptions {
    const { clock, logger } = this;
    const defer = (action: () => void): void => void (this.isTurnHeld || clock.setTimer(0, action));
    return { cluster: CLUSTER, clock, logger, defer, ...options };
  }

  async coordinator(nodeId: number, status: Partial<CoordinatorStatus> = {}): Promise<DirectCoordinatorBus> {
    const told = { leads: false, term: 1, members: [], ...status };
    const bus = new DirectCoordinatorBus({ ...this.options(), nodeId, status: told });
    this.coordinators.set(nodeId, bus);
    this.nodes.set(urlOf(nodeId), nodeId);
    this.streams.listen(urlOf(nodeId), (attach) => bus.accept(attach));
    await bus.start();
    await this.collect(bus, `coordinator-${nodeId}`, REPLIES_TOPIC);
    return bus;
  }

  async participant(
    participant: string,
    instance: string,
    coordinators: readonly number[] = [1],
    options: Partial<DirectBusOptions> = {},
  ): Promise<DirectParticipantBus> {
    const bus = new DirectParticipantBus({
      ...this.options(options),
      participant,
      instance,
      coordinators: coordinators.map(urlOf),
      // as over TCP: it is known first which node it is
      dial: async (url, isConnected) => (isConnected(this.nodes.get(url) ?? 0) ? undefined : this.streams.dial(url)),
      random: new SeededRandom(2),
    });
    await this.collect(bus, instance, decideTopic(participant));
    await bus.start();
    await this.run(100);
    return bus;
  }

  async collect(
    bus: DirectCoordinatorBus | DirectParticipantBus,
    name: string,
    topic: OutgoingMessage['topic'],
  ): Promise<void> {
    const seen: number[] = [];
    this.arrived.set(name, seen);
    const onMessage = (message: ProtocolMessage): void => void seen.push(transactionOf(message));
    await bus.subscribe({ group: 'any', topics: [topic], onMessage });
  }

  async run(durationMs: number): Promise<void> {
    for (let passed = 0; passed < durationMs; passed += 10) {
      this.clock.advance(10);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    }
  }

  /** Bytes of a stranger, and what it is answered. */
  async say(nodeId: number, frames: readonly Frame[], waitMs = 50): Promise<{ answer: string; isClosed: boolean }> {
    const result = { answer: '', isClosed: false };
    const attach = await this.dial(nodeId);
    const socket = attach({
      onBytes: (chunk) => void (result.answer += chunk.toString('latin1')),
      onDrained: () => undefined,
      onClosed: () => void (result.isClosed = true),
    });
    for (const frame of frames) socket.write(encodeFrame(frame));
    await this.run(waitMs);
    return result;
  }

  private async dial(nodeId: number): Promise<Awaited<ReturnType<MemoryStreams['dial']>>> {
    const dialled = this.streams.dial(urlOf(nodeId));
    await this.run(20);
    return dialled;
  }
}

function urlOf(nodeId: number): string {
  return `http://coordinator-${nodeId}`;
}

const hello = { v: LINK_VERSION, cluster: CLUSTER, participant: 'bank-a', instance: 'a' };
const say = (type: 'hello' | 'welcome' | 'status', body: object): Frame => ({ type, text: JSON.stringify(body) });

describe('the handshake of a direct stream', () => {
  it('refuses a participant of another cluster, which says why it cannot be reached', async () => {
    const world = new World();
    await world.coordinator(1);
    const bus = await world.participant('bank-a', 'a', [1], { cluster: 'other' });
    expect(bus.isConnected()).toBe(false);
    expect(bus.obstacle()).toBe(
      'no coordinator can be reached directly; this coordinator belongs to the cluster "test"; the participant is set up for "other" (OTHER_CLUSTER)',
    );
    await world.run(5_000);
    const complaint = expect.stringContaining('the coordinator at http://coordinator-1 cannot be reached directly');
    expect(world.complaints.filter((text) => text.startsWith('the coordinator at'))).toEqual([complaint]); // said once
  });

  it.each<[string, Frame[], string]>([
    ['another version', [say('hello', { ...hello, v: 2 })], 'UNKNOWN_VERSION'],
    ['messages before the hello', [{ type: 'alive', acknowledged: 0 }], ''],
    ['a second hello', [say('hello', hello), say('hello', hello)], 'welcome'],
    ['the words of a coordinator', [say('status', { leads: true, term: 1, members: [] })], ''],
    ['a hello with an unknown field', [say('hello', { ...hello, role: 'admin' })], ''],
    ['a participant that cannot be one', [say('hello', { ...hello, participant: 'A b' })], ''],
    ['a hello that is not JSON', [{ type: 'hello', text: 'hello' }], ''],
    [
      'an acknowledgement of messages that were never sent',
      [say('hello', hello), { type: 'alive', acknowledged: 9 }],
      '',
    ],
  ])('ends with %s', async (_, frames, answer) => {
    const world = new World();
    await world.coordinator(1);
    const { answer: answered, isClosed } = await world.say(1, frames);
    expect(isClosed).toBe(true);
    if (answer === 'welcome') expect(answered).toContain('"nodeId":1');
    else if (answer !== '') expect(answered).toContain(answer);
  });

  it('ends when nothing is said in time, and bounds those that wait', async () => {
    const world = new World();
    await world.coordinator(1);
    const silent = [];
    for (let count = 0; count < 64; count++) silent.push(await world.say(1, [], 0));
    expect((await world.say(1, [])).answer).toContain('TOO_MANY_STREAMS');
    await world.run(5_000);
    expect(silent.every(({ isClosed }) => isClosed)).toBe(true);
    const bus = await world.participant('bank-a', 'a');
    expect(bus.isConnected()).toBe(true);
  });

  it('lets a process that connects again take the place of its old stream', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1);
    await world.participant('bank-a', 'a');
    await world.say(1, [say('hello', hello)]);
    expect(coordinator.streamCounts().get('bank-a')).toBe(1);
  });
});

describe('two URLs of one coordinator', () => {
  it('share one stream: the later one takes the place of the other, and then they rest', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1, { leads: true });
    world.streams.listen(urlOf(2), (attach) => coordinator.accept(attach));
    world.nodes.set(urlOf(2), 1);
    const bus = await world.participant('bank-a', 'a', [1, 2]);
    await world.run(2_000);
    expect(coordinator.streamCounts().get('bank-a')).toBe(1);
    let lost = 0;
    coordinator.observe({ onLost: () => void lost++ });
    for (let transaction = 1; transaction <= 30; transaction++) {
      await bus.publish([vote('bank-a', transaction)]);
      await world.run(1_000);
    }
    expect(world.arrived.get('coordinator-1')).toHaveLength(30);
    expect(lost).toBe(0);
  });
});

describe('the way of a message over direct streams', () => {
  it('leads from a participant to the coordinator that leads in the latest term', async () => {
    const world = new World();
    await world.coordinator(1, { leads: true, term: 3 });
    await world.coordinator(2, { leads: true, term: 4 });
    await world.coordinator(3, { term: 4 });
    const bus = await world.participant('bank-a', 'a', [1, 2, 3]);
    await bus.publish([vote('bank-a', 1)]);
    await world.run(50);
    world.coordinators.get(3)!.setStatus({ leads: true, term: 5, members: [] });
    await world.run(50);
    await bus.publish([vote('bank-a', 2)]);
    await world.run(50);
    expect([1, 2, 3].map((nodeId) => world.arrived.get(`coordinator-${nodeId}`))).toEqual([[], [1], [2]]);
  });

  it('begins at the end of the turn, or at once when somebody waits', async () => {
    const world = new World();
    const bus = await world.coordinator(1, { leads: true });
    await world.participant('bank-a', 'a');
    world.isTurnHeld = true;
    await bus.publish([decision('bank-a', 1)]);
    await world.run(100);
    expect(world.arrived.get('a')).toEqual([]);
    await bus.publish([decision('bank-a', 2)], { atOnce: true });
    await world.run(100);
    expect(world.arrived.get('a')).toEqual([1, 2]);
  });

  it('is refused to the publisher while nobody leads, or nobody is connected', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1);
    const bus = await world.participant('bank-a', 'a');
    await expect(bus.publish([vote('bank-a', 1)])).rejects.toMatchObject({ code: 'BUS_NO_STREAM', retryable: true });
    await expect(coordinator.publish([decision('bank-b', 1)])).rejects.toMatchObject({ code: 'BUS_NO_STREAM' });
  });

  it('leads to coordinators that the first one has named', async () => {
    const world = new World();
    await world.coordinator(1, { members: [urlOf(1), urlOf(2)] });
    await world.coordinator(2, { leads: true });
    const bus = await world.participant('bank-a', 'a', [1]);
    await world.run(100);
    await bus.publish([vote('bank-a', 1)]);
    await world.run(50);
    expect(world.arrived.get('coordinator-2')).toEqual([1]);
  });

  it('stays with one process for each transaction, and moves when its stream ends', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1, { leads: true });
    const first = await world.participant('bank-a', 'a-1');
    await world.participant('bank-a', 'a-2');
    const transactions = Array.from({ length: 20 }, (_, index) => index);
    for (let repeat = 0; repeat < 3; repeat++) {
      await coordinator.publish(transactions.map((transaction) => decision('bank-a', transaction)));
    }
    await world.run(50);
    const [one, two] = [world.arrived.get('a-1')!, world.arrived.get('a-2')!];
    expect([one.length, two.length]).toEqual([30, 30]);
    expect(one.filter((transaction) => two.includes(transaction))).toEqual([]);
    first.crash();
    await world.run(50);
    await coordinator.publish(transactions.map((transaction) => decision('bank-a', transaction)));
    await world.run(50);
    expect(new Set(two)).toEqual(new Set(transactions));
  });

  it('leads from a branch to a branch of another participant, and to itself', async () => {
    const world = new World();
    await world.coordinator(1); // nobody leads
    const bus = await world.participant('bank-a', 'a');
    await world.participant('bank-b', 'b');
    await bus.publish([decision('bank-b', 1), decision('bank-a', 2)]);
    await world.run(50);
    expect(world.arrived.get('b')).toEqual([1]);
    expect(world.arrived.get('a')).toEqual([2]);
  });

  it('ends where a participant speaks in the name of another one, or of a topic that nobody reads', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1, { leads: true });
    const bus = await world.participant('bank-a', 'a');
    await bus.publish([vote('bank-b', 1)]);
    await world.run(50);
    expect(world.arrived.get('coordinator-1')).toEqual([]);
    expect(world.complaints).toEqual([expect.stringContaining('for another participant')]);
    expect(coordinator.streamCounts().get('bank-a')).toBe(1);
    bus.offer({ ...vote('bank-a', 2), topic: 'prepare.bank-a' });
    await world.run(50);
    expect(world.arrived.get('coordinator-1')).toEqual([]);
  });
});

describe('a direct stream that fails', () => {
  it('is noticed within 3 s when it swallows everything, and what was not acknowledged is told', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1, { leads: true });
    const lost: number[] = [];
    coordinator.observe({
      onLost: (messages) => void lost.push(...messages.map(({ message }) => transactionOf(message))),
    });
    const bus = await world.participant('bank-a', 'a');
    await coordinator.publish([decision('bank-a', 1)]);
    await world.run(1_000);
    world.streams.swallowAll();
    await coordinator.publish([decision('bank-a', 2), decision('bank-a', 3)]);
    await world.run(3_100);
    expect(lost).toEqual([2, 3]);
    await world.run(2_000);
    expect(bus.isConnected()).toBe(true);
    await coordinator.publish([decision('bank-a', 4)]);
    await world.run(50);
    expect(world.arrived.get('a')).toEqual([1, 4]);
  });

  it('stays open for hours without a message', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1);
    let ended = 0;
    coordinator.observe({ onLost: () => void ended++ });
    await world.participant('bank-a', 'a');
    await world.run(60_000);
    expect(coordinator.streamCounts().get('bank-a')).toBe(1);
    expect(ended).toBe(0);
  });

  it('takes no more than its bound for a peer that does not read, and ends when nothing is acknowledged', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1, { leads: true });
    world.streams.setFaults({ minimumDelayMs: 60_000, maximumDelayMs: 60_000 });
    const slow = await world.participant('bank-a', 'a');
    expect(slow.isConnected()).toBe(false);
    world.streams.setFaults({});
    const bus = await world.participant('bank-b', 'b', [1], { limits: { bufferedBytes: 10_000 } });
    let taken = 0;
    while (bus.offer(vote('bank-b', taken)) !== false) taken++;
    expect(taken).toBeGreaterThan(10);
    expect(taken).toBeLessThan(100);
    await world.run(50);
    expect(world.arrived.get('coordinator-1')).toHaveLength(taken);
    expect(coordinator.streamCounts().get('bank-b')).toBe(1);
  });

  it('is made anew when the coordinator is started again', async () => {
    const world = new World();
    (await world.coordinator(1)).crash();
    const bus = await world.participant('bank-a', 'a');
    expect(bus.isConnected()).toBe(false);
    await world.coordinator(1, { leads: true });
    await world.run(2_000);
    await bus.publish([vote('bank-a', 1)]);
    await world.run(50);
    expect(world.arrived.get('coordinator-1')).toEqual([1]);
  });
});
