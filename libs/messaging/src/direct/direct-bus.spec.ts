import { describe, expect, it } from '@jest/globals';
import type { DecisionMessage, ProtocolMessage } from '@concordat/commit-protocol';
import type { OutgoingMessage } from '../bus.js';
import { DirectCoordinatorBus } from './coordinator-end.js';
import type { SocketEvents } from './stream.js';
import { encodeFrame, type Frame } from './frames.js';
import { LINK_VERSION } from './handshake.js';

import { decideTopic } from '../contract/topics.js';
import { CLUSTER, World, decision, idOf, transactionOf, urlOf, vote } from './testing/direct-world.js';
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
    ['messages before the hello', [{ type: 'alive', acknowledged: 0 }], 'INVALID_HELLO'],
    ['a second hello', [say('hello', hello), say('hello', hello)], 'INVALID_FRAME'],
    ['the words of a coordinator', [say('status', { leads: true, term: 1, members: [] })], 'INVALID_HELLO'],
    ['a hello with an unknown field', [say('hello', { ...hello, role: 'admin' })], 'INVALID_HELLO'],
    ['a participant that cannot be one', [say('hello', { ...hello, participant: 'A b' })], 'INVALID_HELLO'],
    ['a hello that is not JSON', [{ type: 'hello', text: 'hello' }], 'INVALID_HELLO'],
    [
      'an acknowledgement of messages that were never sent',
      [say('hello', hello), { type: 'alive', acknowledged: 9 }],
      'INVALID_FRAME',
    ],
  ])('ends with %s, and says why', async (_, frames, answer) => {
    const world = new World();
    await world.coordinator(1);
    const { answer: answered, isClosed } = await world.say(1, frames);
    expect(isClosed).toBe(true);
    expect(answered).toContain(answer);
    expect(world.complaints).toEqual([expect.stringContaining(answer)]);
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

  it('ends with a second welcome of a coordinator, and begins again', async () => {
    const world = new World();
    const frame = say('welcome', { nodeId: 1, status: { leads: true, term: 1, members: [] } });
    const ignore = (): void => undefined;
    world.streams.listen(urlOf(1), (attach) => {
      const socket = attach({ onBytes: ignore, onDrained: ignore, onClosed: ignore });
      socket.write(encodeFrame(frame));
      socket.write(encodeFrame(frame));
    });
    const bus = await world.participant('bank-a', 'a');
    expect(world.complaints).toEqual([expect.stringContaining('a second welcome')]);
    await world.coordinator(1, { leads: true });
    await world.run(2_000);
    await bus.publish([vote('bank-a', 1)]);
    await world.run(50);
    expect(world.arrived.get('coordinator-1')).toEqual([1]);
  });

  it('lets a process that connects again take the place of its old stream', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1);
    await world.participant('bank-a', 'a');
    await world.say(1, [say('hello', hello)]);
    expect(coordinator.streamCounts().get('bank-a')).toBe(1);
  });
});

/** What only others may say to a branch: a ballot of a third participant, one of a coordinator, its own alarm. */
function forgeries(participant: string): [OutgoingMessage, OutgoingMessage, OutgoingMessage] {
  const [topic, id] = [decideTopic(participant), idOf(1)];
  const address = { transactionId: id, branchId: id, participant };
  const acceptors = [{ branchId: id, participant }];
  const request = { type: 'promise', ballot: { round: 9, proposer: 1 } } as const;
  const proposer = { branchId: idOf(2), participant: 'bank-c' };
  return [
    { topic, message: { ...address, type: 'ballot-request', request, acceptors, proposer } },
    { topic, message: { ...address, type: 'ballot-request', request, acceptors } },
    { topic, message: { ...address, type: 'termination-due' } },
  ];
}

/** A process that has connected, at the coordinator's end: no network, no time. */
function knock(coordinator: DirectCoordinatorBus, greeting?: object) {
  const result = { answer: '', isClosed: false };
  let events: SocketEvents | undefined;
  const close = (): void => {
    if (result.isClosed) return;
    result.isClosed = true;
    events?.onClosed();
  };
  coordinator.accept((given) => {
    events = given;
    const write = (bytes: Buffer): void => void (result.answer += bytes.toString('latin1'));
    return { write, bufferedBytes: 0, pause: () => undefined, resume: () => undefined, destroy: close, end: close };
  });
  if (greeting && !result.isClosed) events?.onBytes(encodeFrame(say('hello', greeting)));
  return Object.assign(result, { hangUp: close });
}

describe('the bounds of a coordinator', () => {
  it('are 200 handshakes in a second', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1);
    for (let count = 0; count < 200; count++) {
      const guest = knock(coordinator, hello);
      expect(guest.answer).toContain('"nodeId":1');
      guest.hangUp();
    }
    expect(knock(coordinator, hello).answer).toContain('TOO_MANY_HANDSHAKES');
    world.clock.advance(999);
    expect(knock(coordinator, hello).isClosed).toBe(true);
    world.clock.advance(1);
    expect(knock(coordinator, hello).answer).toContain('"nodeId":1');
  });

  it('are 256 streams of one participant, and a process that connects again takes its own place', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1);
    const guests = [];
    for (let count = 0; count < 256; count++) {
      if (count % 100 === 0) world.clock.advance(1_000);
      guests.push(knock(coordinator, { ...hello, instance: `process-${count}` }));
    }
    expect(guests.some(({ isClosed }) => isClosed)).toBe(false);
    expect(knock(coordinator, { ...hello, instance: 'one more' }).answer).toContain('bank-a has 256 streams already');
    expect(knock(coordinator, { ...hello, participant: 'bank-b' }).answer).toContain('"nodeId":1');
    expect(knock(coordinator, { ...hello, instance: 'process-0' }).answer).toContain('"nodeId":1');
    expect(guests.map(({ isClosed }) => isClosed)).toEqual(guests.map((_, place) => place === 0));
    expect(coordinator.streamCounts().get('bank-a')).toBe(256);
  });

  it('are as many streams as it was given', async () => {
    const world = new World();
    const status = { leads: false, term: 0, members: [] };
    const coordinator = new DirectCoordinatorBus({ ...world.options(), nodeId: 1, status, maximumStreams: 3 });
    const guests = ['a', 'b', 'c', 'd'].map((instance) => knock(coordinator, { ...hello, instance }));
    expect(guests.map(({ isClosed }) => isClosed)).toEqual([false, false, false, true]);
    expect(guests[3]!.answer).toContain('TOO_MANY_STREAMS');
    guests[0]!.hangUp();
    expect(knock(coordinator, { ...hello, instance: 'd' }).isClosed).toBe(false);
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

  it('is told to a participant whenever it is another one: a later leader, a later term, a new stream', async () => {
    const world = new World();
    await world.coordinator(1);
    const second = await world.coordinator(2, { leads: true, term: 2 });
    const bus = await world.participant('bank-a', 'a', [1, 2], {}, false);
    let told = 0;
    const count = async (action: () => void, waitMs = 50): Promise<number> => {
      const before = told;
      action();
      await world.run(waitMs);
      return told - before;
    };
    await bus.subscribe({
      group: 'any',
      topics: [decideTopic('bank-a')],
      onMessage: () => undefined,
      onNewLeader: () => void told++,
    });
    const lead = (nodeId: number, term: number, leads = true): void =>
      world.coordinators.get(nodeId)!.setStatus({ leads, term, members: [] });
    expect(await count(() => void bus.start(), 100)).toBe(1);
    expect(await count(() => lead(2, 2))).toBe(0);
    expect(await count(() => lead(1, 3))).toBe(1);
    expect(await count(() => lead(2, 2, false))).toBe(0);
    expect(await count(() => lead(1, 4))).toBe(1);
    expect(await count(() => lead(1, 4, false))).toBe(0);
    expect(await count(() => lead(2, 5))).toBe(1);
    expect(await count(() => second.crash())).toBe(0);
    const returned = await world.coordinator(2, { leads: true, term: 6 });
    expect(await count(() => undefined, 2_000)).toBe(1);
    await returned.stop();
  });

  it('begins at the end of the turn, or at once when somebody waits', async () => {
    const world = new World();
    const bus = await world.coordinator(1, { leads: true });
    await world.participant('bank-a', 'a');
    world.isTurnHeld = true;
    const published: number[] = [];
    void bus.publish([decision('bank-a', 1)]).then(() => published.push(1));
    await world.run(100);
    expect(world.arrived.get('a')).toEqual([]);
    expect(published).toEqual([]); // a process that ends now has not sent it
    await bus.publish([decision('bank-a', 2)], { atOnce: true });
    await world.run(100);
    expect(world.arrived.get('a')).toEqual([1, 2]);
    expect(published).toEqual([1]);
  });

  it('is known to the publisher when the socket has the bytes, or the stream has ended', async () => {
    const world = new World();
    const bus = await world.coordinator(1, { leads: true });
    const participant = await world.participant('bank-a', 'a');
    const published: string[] = [];
    const publish = (name: string, transaction: number): void =>
      void bus.publish([decision('bank-a', transaction)]).then(() => published.push(name));
    publish('at the end of the turn', 1);
    expect(published).toEqual([]);
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    expect(published).toEqual(['at the end of the turn']);
    expect(world.arrived.get('a')).toEqual([]); // it is on its way
    await world.run(50);
    world.isTurnHeld = true;
    publish('with the end of the stream', 2);
    participant.crash();
    await world.run(50);
    expect(published).toEqual(['at the end of the turn', 'with the end of the stream']);
    expect(world.arrived.get('a')).toEqual([1]);
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

  it('does not call those for ever that have left the group, so any number of others may follow them', async () => {
    const world = new World();
    const leader = await world.coordinator(1, { leads: true });
    const bus = await world.participant('bank-a', 'a', [1]);
    const status = (members: readonly number[]) => ({ leads: true, term: 1, members: members.map(urlOf) });
    for (let last = 102; last < 202; last += 2) {
      leader.setStatus(status([1, last - 1, last])); // nobody listens there
      await world.run(1_500);
    }
    await world.coordinator(300, { leads: true, term: 2 });
    leader.setStatus(status([1, 300]));
    await world.run(1_500);
    await bus.publish([vote('bank-a', 7)]);
    await world.run(50);
    expect(world.arrived.get('coordinator-300')).toEqual([7]);
  });

  it('still calls those that it was told of at its start, whoever leads', async () => {
    const world = new World();
    const first = await world.coordinator(1, { leads: true, members: [urlOf(1)] });
    const bus = await world.participant('bank-a', 'a', [1, 2]);
    await world.run(5_000);
    await world.coordinator(2, { leads: true, term: 2 });
    await world.run(1_500);
    first.crash();
    await bus.publish([vote('bank-a', 7)]);
    await world.run(50);
    expect(world.arrived.get('coordinator-2')).toEqual([7]);
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

  it('takes no word of a participant for that of another, or of a coordinator', async () => {
    const world = new World();
    const coordinator = await world.coordinator(1, { leads: true });
    world.identity = { isSecure: true, participants: ['bank-a'] };
    const taken = await world.participant('bank-a', 'a');
    world.identity = { isSecure: true, participants: ['bank-b'] };
    const bus = await world.participant('bank-b', 'b');
    const heard: ProtocolMessage[] = [];
    const onMessage = (message: ProtocolMessage): void => void heard.push(message);
    await bus.subscribe({ group: 'b', topics: [decideTopic('bank-b')], onMessage });

    const [inNameOfC, asCoordinator, due] = forgeries('bank-b');
    await taken.publish([inNameOfC, asCoordinator, due]);
    await world.run(50);
    expect(heard).toEqual([]);
    expect(coordinator.deadLetters().NOT_ALLOWED_TO_SAY).toBe(3);

    // it may know the decision, so the branch asks the others itself
    const { message } = decision('bank-b', 7);
    await taken.publish([decision('bank-b', 7)]);
    await world.run(50);
    const { transactionId, branchId, participant } = message as DecisionMessage;
    expect(heard).toEqual([{ type: 'termination-due', transactionId, branchId, participant }]);
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

  it('takes no more unacknowledged messages than its bound, and again as many when they are acknowledged', async () => {
    const world = new World();
    await world.coordinator(1, { leads: true });
    const bus = await world.participant('bank-a', 'a', [1], { limits: { bufferedMessages: 1_500 } });
    const offer = (count: number): number => {
      let taken = 0;
      for (let n = 0; n < count; n++) if (bus.offer(vote('bank-a', n)) !== false) taken++;
      return taken;
    };
    expect(offer(2_000)).toBe(1_500);
    await world.run(20);
    // 1,024 or more are acknowledged at once, the rest with the next sign of life
    const atOnce = offer(2_000);
    expect(atOnce).toBeGreaterThanOrEqual(1_024);
    await world.run(600);
    expect(offer(2_000)).toBe(1_500);
    await world.run(20);
    expect(world.arrived.get('coordinator-1')).toHaveLength(3_000 + atOnce);
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
