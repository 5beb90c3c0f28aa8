import { describe, expect, it } from '@jest/globals';
import {
  FailpointError,
  noFailpoints,
  SeededRandom,
  silentLogger,
  VirtualClock,
  type Failpoints,
} from '@concordat/foundation';
import type { ProtocolMessage, VoteMessage } from '@concordat/commit-protocol';
import { withFailpoints } from './failpoint-bus.js';
import { MemoryBroker } from './testing/memory-broker.js';
import { MemoryMessageBus } from './testing/memory-bus.js';
import { REPLIES_TOPIC } from './contract/topics.js';

const id = '018f2d3c-1111-7abc-8def-0123456789ab';
const vote: VoteMessage = {
  type: 'vote',
  transactionId: id,
  branchId: id,
  participant: 'bank-a',
  vote: 'yes',
  results: [],
};
const announce: ProtocolMessage = { type: 'announce', participant: 'bank-a', operations: ['debit'] };

async function createWorld(act: (name: string) => Promise<void> | undefined = () => undefined) {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock, random: new SeededRandom(1), partitions: 1 });
  const raw = new MemoryMessageBus(broker, { cluster: 'test' });
  const passed: string[] = [];
  const warnings: string[] = [];
  const failpoints: Failpoints = {
    hit: (name) => {
      passed.push(name);
      return act(name);
    },
  };
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  const bus = withFailpoints(raw, { process: 'coordinator', failpoints, logger });
  const run = async (durationMs: number): Promise<void> => {
    for (let passedMs = 0; passedMs <= durationMs; passedMs += 10) {
      clock.advance(10);
      for (let turn = 0; turn < 30; turn++) await Promise.resolve();
    }
  };
  await bus.start();
  const seen: ProtocolMessage[] = [];
  const listen = () =>
    bus.subscribe({ group: 'g', topics: [REPLIES_TOPIC], onMessage: (message) => void seen.push(message) });
  const publish = (...messages: ProtocolMessage[]): Promise<void> =>
    bus.publish(messages.map((message) => ({ topic: REPLIES_TOPIC, message })));
  return { broker, raw, bus, run, passed, warnings, seen, listen, publish };
}

describe('a bus with failpoints', () => {
  it('sends at once what is to be sent at once', async () => {
    const { bus, raw } = await createWorld();
    const asked: unknown[] = [];
    raw.publish = async (_messages, options) => void asked.push(options);
    await bus.publish([{ topic: REPLIES_TOPIC, message: vote }], { atOnce: true });
    expect(asked).toEqual([{ atOnce: true }]);
  });

  it('passes them around each sending, each handling and each commit of offsets', async () => {
    const { publish, listen, run, passed, seen } = await createWorld();
    await listen();
    const sending = publish(vote, announce, vote);
    await run(20);
    await sending;
    expect(seen).toEqual([vote, announce, vote]);
    await run(1_100);
    const once = passed.filter((name, place) => passed.indexOf(name) === place);
    expect(once.sort()).toEqual(
      [
        'coordinator.vote.before-send',
        'coordinator.announce.before-send',
        'coordinator.vote.after-send',
        'coordinator.announce.after-send',
        'coordinator.vote.received',
        'coordinator.vote.handled',
        'coordinator.announce.received',
        'coordinator.announce.handled',
        'coordinator.offsets.before-commit',
        'coordinator.offsets.after-commit',
      ].sort(),
    );
    expect(passed.filter((name) => name === 'coordinator.vote.before-send')).toHaveLength(1); // one publication
    expect(passed.filter((name) => name === 'coordinator.vote.received')).toHaveLength(2);
  });

  it('is the bus itself when none can be armed', () => {
    const bus = new MemoryMessageBus(new MemoryBroker({ clock: new VirtualClock() }), { cluster: 'test' });
    expect(withFailpoints(bus, { process: 'coordinator', failpoints: noFailpoints, logger: silentLogger })).toBe(bus);
  });

  it('keeps back what is held up before the wire, and what is held up before its handler', async () => {
    const gates = new Map<string, () => void>();
    const { publish, listen, run, seen, passed } = await createWorld((name) =>
      name.endsWith('vote.before-send') || name.endsWith('vote.received')
        ? new Promise((resolve) => gates.set(name, resolve))
        : undefined,
    );
    await listen();
    const sending = publish(vote);
    await run(50);
    expect(passed).toEqual(['coordinator.vote.before-send']);
    gates.get('coordinator.vote.before-send')?.();
    await run(50);
    await sending;
    expect(seen).toEqual([]);
    expect(passed).toContain('coordinator.vote.received');
    gates.get('coordinator.vote.received')?.();
    await run(50);
    expect(seen).toEqual([vote]);
  });

  it('fails what has not happened, and only tells of what has', async () => {
    const failing = { name: 'coordinator.vote.before-send' };
    const { publish, listen, run, seen, warnings } = await createWorld((name) => {
      if (name === failing.name) throw new FailpointError('told to fail');
      return undefined;
    });
    await listen();
    await expect(publish(vote)).rejects.toThrow('told to fail');
    failing.name = 'coordinator.vote.after-send';
    const sending = publish(vote);
    await run(50);
    await expect(sending).resolves.toBeUndefined();
    expect(seen).toEqual([vote]);
    expect(warnings).toEqual(['told to fail; the action before it has happened, so the process continues']);
  });

  it('commits no offsets while that is held up: what was handled comes again to the next member', async () => {
    const { publish, listen, run, seen, raw, broker } = await createWorld((name) =>
      name.endsWith('offsets.before-commit') ? new Promise(() => undefined) : undefined,
    );
    await listen();
    const sending = publish(vote);
    await run(1_200);
    await sending;
    expect(seen).toEqual([vote]);
    raw.crash();
    const next = new MemoryMessageBus(broker, { cluster: 'test' });
    const again: ProtocolMessage[] = [];
    await next.start();
    await next.subscribe({
      group: 'g',
      topics: [REPLIES_TOPIC],
      onMessage: (message) => void again.push(message),
    });
    await run(20_000);
    expect(again).toEqual([vote]);
  });
});
