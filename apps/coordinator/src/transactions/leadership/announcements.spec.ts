import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@concordat/commit-protocol';
import { silentLogger, VirtualClock } from '@concordat/foundation';
import { Announcements, DISCOVERY_MS } from './announcements.js';
import { INSTANCE_EXPIRY_MS, MAXIMUM_INSTANCES } from './live-instances.js';
import { ControlledLog } from '../testing/controlled-log.js';

const BANK = 'bank-a';
const INTERVAL_MS = 10_000;
const OLD = ['debit'];
const NEW = ['debit', 'refund'];

function createLeader(log = new ControlledLog()) {
  log.lead();
  const clock = new VirtualClock();
  const complaints: string[] = [];
  const logger = { ...silentLogger, error: (text: string) => void complaints.push(text) };
  let announcements = new Announcements(log, clock, logger);
  const changes = (): number => log.applied.length;
  const known = (name = BANK): string[] => [...(log.state.participant(name)?.operations ?? [])].sort();
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  const say = async (instance: string, operations: string[], leaving?: true): Promise<void> => {
    announcements.take({ type: 'announce', participant: BANK, instance, operations, ...(leaving && { leaving }) });
    await settle();
  };
  const takeOver = (): void => void (announcements = new Announcements(log, clock, logger));
  const stranger = async (participant: string): Promise<void> => {
    announcements.take({ type: 'announce', participant, operations: [] });
    await settle();
  };
  return { log, clock, known, changes, say, takeOver, stranger, complaints };
}

describe('what participants have, while their processes come and go', () => {
  it('does not flip while two versions run, and knows the new operation once the old process has gone', async () => {
    const { clock, say, known, changes } = createLeader();
    await say('old', OLD);
    const before = changes();
    for (let round = 0; round < 30; round++) {
      await say('new', NEW);
      await say('old', OLD);
      clock.advance(INTERVAL_MS);
    }
    expect([known(), changes() - before]).toEqual([OLD, 0]);
    await say('old', OLD, true);
    await say('new', NEW);
    expect([known(), changes() - before]).toEqual([NEW, 1]);
  });

  it('takes an operation away as soon as one live process lacks it', async () => {
    const { say, known } = createLeader();
    await say('one', NEW);
    await say('two', OLD);
    expect(known()).toEqual(OLD);
  });

  it('forgets a process that was killed when its announcements have been missing for a while', async () => {
    const { clock, say, known } = createLeader();
    await say('killed', OLD);
    for (let passed = 0; passed < INSTANCE_EXPIRY_MS; passed += INTERVAL_MS) {
      await say('new', NEW);
      expect(known()).toEqual(OLD);
      clock.advance(INTERVAL_MS);
    }
    await say('new', NEW);
    expect(known()).toEqual(NEW);
  });

  it('takes a restarted process of the same name for the same', async () => {
    const { say, known } = createLeader();
    await say('bank-a-host-1', OLD);
    await say('bank-a-host-1', NEW);
    expect(known()).toEqual(NEW);
  });

  it('keeps what is known when no process lives', async () => {
    const { say, known } = createLeader();
    await say('only', NEW);
    await say('only', NEW, true);
    expect(known()).toEqual(NEW);
  });

  it.each([
    ['the old first', ['old', 'new']],
    ['the new first', ['new', 'old']],
  ])('does not flip at a new leader, whichever it hears first: %s', async (_what, order) => {
    const { clock, say, known, changes, takeOver } = createLeader();
    await say('old', OLD);
    await say('new', NEW);
    const before = changes();
    takeOver();
    for (let passed = 0; passed < 3 * DISCOVERY_MS; passed += INTERVAL_MS) {
      for (const instance of order) await say(instance, instance === 'old' ? OLD : NEW);
      clock.advance(INTERVAL_MS);
    }
    expect([known(), changes() - before]).toEqual([OLD, 0]);
  });

  it('is bounded, whatever strangers announce', async () => {
    const { say, known, stranger, log, complaints } = createLeader();
    await say('own', NEW);
    for (let count = 0; count < 3 * MAXIMUM_INSTANCES; count++) await say(`stranger-${count}`, NEW);
    expect(known()).toEqual(NEW);
    for (let count = 0; count < LIMITS.participants + 10; count++) await stranger(`stranger-${count}`);
    expect([...log.state.participants()]).toHaveLength(LIMITS.participants);
    expect(complaints).toHaveLength(1);
  });
});

describe('two services under one name', () => {
  const announcement = (instance: string, database?: string) =>
    ({ type: 'announce', participant: BANK, instance, operations: OLD, ...(database && { database }) }) as const;

  it('are found by their databases, and an alert says once what to do', () => {
    const log = new ControlledLog();
    log.lead();
    const clock = new VirtualClock();
    const alerts: string[] = [];
    const announcements = new Announcements(log, clock, silentLogger, (detail) => alerts.push(detail));
    announcements.take(announcement('one', '7/16384'));
    announcements.take(announcement('another process of it', '7/16384'));
    announcements.take(announcement('of an older version'));
    expect(alerts).toEqual([]);
    announcements.take(announcement('other', '7/16385'));
    announcements.take(announcement('one', '7/16384'));
    expect(alerts).toEqual([expect.stringContaining('give each service a participant name of its own')]);
    for (let passed = 0; passed < INSTANCE_EXPIRY_MS; passed += INTERVAL_MS) {
      clock.advance(INTERVAL_MS);
      announcements.take(announcement('one', '7/16384'));
    }
    expect(alerts).toHaveLength(1); // the other has gone
    announcements.take(announcement('other', '7/16385'));
    expect(alerts).toHaveLength(2);
  });
});
