import { describe, expect, it } from '@jest/globals';
import type { ReplyMessage } from '@concordat/commit-protocol';
import { silentLogger, type Logger } from '@concordat/foundation';
import { COORDINATOR_FAILPOINTS } from '../failpoints/failpoints.js';
import { Harness } from '../transactions/testing/harness.js';
import { RecordingBus } from '../transactions/testing/recording-bus.js';
import { RepliesConsumer } from './replies-consumer.js';

class Fixture {
  readonly harness = new Harness();
  readonly bus = new RecordingBus();
  readonly warnings: string[] = [];
  readonly errors: string[] = [];
  readonly consumer: RepliesConsumer;

  constructor() {
    const logger: Logger = {
      ...silentLogger,
      warn: (message) => void this.warnings.push(message),
      error: (message) => void this.errors.push(message),
    };
    this.consumer = new RepliesConsumer(this.bus, this.harness.manager, 2, logger);
  }
}

describe('RepliesConsumer', () => {
  it('reads all replies in a group of its node, and makes sure of the topics that it writes to', async () => {
    const { consumer, bus } = new Fixture();
    expect(consumer.obstacle()).toContain('has not been reached');
    await consumer.start();
    expect(bus.topics).toEqual(['replies', 'outcomes', 'dead-letter']);
    expect(bus.subscriptions).toMatchObject([{ group: 'coordinator.2', topics: ['replies'], stopped: false }]);
    expect(consumer.obstacle()).toBeUndefined();
    bus.connected = false;
    expect(consumer.obstacle()).toBe('the broker cannot be reached');
    await consumer.stop();
    expect(bus.subscriptions[0]?.stopped).toBe(true);
  });

  it('hands votes, ends, inquiries and announcements to the manager, and nothing else', async () => {
    const { harness, consumer, bus, warnings } = new Fixture();
    await consumer.start();
    const [{ onMessage }] = bus.subscriptions as [RecordingBus['subscriptions'][number]];
    const answer = harness.watch(harness.execute());
    await harness.settle();
    for (const { transactionId, branchId, participant } of harness.bus.of('prepare')) {
      const vote: ReplyMessage = { type: 'vote', transactionId, branchId, participant, vote: 'yes', results: [] };
      await onMessage(vote);
    }
    await harness.settle();
    expect(answer.value?.transaction.outcome).toBe('committed');
    for (const { transactionId, branchId, participant } of harness.bus.of('decision')) {
      await onMessage({ type: 'done', transactionId, branchId, participant, end: 'committed' });
    }
    await harness.pass(100);
    expect(harness.log.state.openCount).toBe(0);
    harness.bus.forget();
    const [transactionId, branchId] = [harness.newId(), harness.newId()];
    await onMessage({ type: 'inquiry', transactionId, branchId, participant: 'bank-a', gid: 'gid' });
    await onMessage({ type: 'announce', participant: 'bank-z', operations: ['debit'] });
    await harness.settle();
    expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', branchId }]);
    expect(harness.log.state.participant('bank-z')).toBeDefined();
    await onMessage({ type: 'decision', transactionId, branchId, participant: 'a', decision: 'abort', attempt: 0 });
    expect(warnings).toEqual(['a decision message does not belong to replies; it is ignored']);
  });

  it('passes the failpoints of what it hears', async () => {
    const harness = new Harness();
    const bus = new RecordingBus();
    const passed: string[] = [];
    const failpoints = { hit: (name: string) => void passed.push(name) };
    await new RepliesConsumer(bus, harness.manager, 2, silentLogger, failpoints).start();
    const [{ onMessage }] = bus.subscriptions as [RecordingBus['subscriptions'][number]];
    const [transactionId, branchId] = [harness.newId(), harness.newId()];
    await onMessage({ type: 'inquiry', transactionId, branchId, participant: 'bank-a', gid: 'gid' });
    await onMessage({ type: 'announce', participant: 'bank-z', operations: ['debit'] });
    expect(passed).toEqual([
      'coordinator.inquiry.received',
      'coordinator.inquiry.handled',
      'coordinator.announce.received',
      'coordinator.announce.handled',
    ]);
    expect(COORDINATOR_FAILPOINTS).toEqual(expect.arrayContaining(passed));
  });

  it('says so when replies cannot be consumed at all', async () => {
    const { consumer, bus, errors } = new Fixture();
    bus.failure = new Error('no such broker');
    await consumer.start();
    expect(errors).toEqual(['replies are not consumed: no such broker']);
    expect(consumer.obstacle()).toBeDefined();
    await consumer.stop();
  });

  it('leaves the group at once when it was stopped while it connected', async () => {
    const { consumer, bus, errors } = new Fixture();
    const start = consumer.start();
    await consumer.stop();
    await start;
    expect(bus.subscriptions.every(({ stopped }) => stopped)).toBe(true);
    expect(errors).toEqual([]);
  });
});
