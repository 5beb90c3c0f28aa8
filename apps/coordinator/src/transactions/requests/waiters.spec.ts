import { describe, expect, it } from '@jest/globals';
import type { TransactionState } from '@concordat/commit-protocol';
import { VirtualClock } from '@concordat/foundation';
import { OutcomeUnknownError } from '../errors.js';
import { Waiters } from './waiters.js';

const ID = '019b76da-a800-7000-8000-000000000001';

function state(changes: Partial<TransactionState>): TransactionState {
  return {
    transactionId: ID,
    protocol: '2pc',
    createdAt: 0,
    deadline: 0,
    metadata: {},
    claims: [],
    branches: [],
    closed: true,
    logIndex: 1,
    ...changes,
  };
}

describe('Waiters', () => {
  it('wakes each at what it waits for', async () => {
    const waiters = new Waiters(new VirtualClock(), () => () => undefined);
    const reached: string[] = [];
    const decided = waiters.wait(ID, 'decided', 1_000).then(() => reached.push('decided'));
    const ended = waiters.wait(ID, 'ended', 1_000).then(() => reached.push('ended'));
    const closed = waiters.wait(ID, 'closed', 1_000).then(() => reached.push('closed'));
    waiters.changed(state({ closed: false }));
    waiters.changed(state({}));
    await closed;
    waiters.changed(state({ transactionId: 'another', decision: 'commit', endedAt: 1 }));
    waiters.changed(state({ decision: 'commit' }));
    await decided;
    expect(reached).toEqual(['closed', 'decided']);
    waiters.changed(state({ decision: 'commit', endedAt: 1 }));
    await ended;
    expect(reached).toEqual(['closed', 'decided', 'ended']);
  });

  it('gives up when the time is over, and leaves no timer behind when it is not', async () => {
    const clock = new VirtualClock();
    const waiters = new Waiters(clock, () => () => undefined);
    const late = waiters.wait(ID, 'decided', 1_000);
    clock.advance(1_000);
    expect(await late).toBeUndefined();
    const first = waiters.wait(ID, 'decided', 1_000);
    waiters.changed(state({ decision: 'abort' }));
    expect(await first).toMatchObject({ decision: 'abort' });
    expect(clock.nextDueAt()).toBeUndefined();
  });

  it('knows whether somebody waits for the end', async () => {
    const clock = new VirtualClock();
    const waiters = new Waiters(clock, () => () => undefined);
    const decided = waiters.wait(ID, 'decided', 1_000);
    expect(waiters.awaitsEnd(ID)).toBe(false);
    const ended = waiters.wait(ID, 'ended', 500);
    expect(waiters.awaitsEnd(ID)).toBe(true);
    clock.advance(500);
    expect(waiters.awaitsEnd(ID)).toBe(false);
    clock.advance(500);
    expect(await Promise.all([decided, ended])).toEqual([undefined, undefined]);
  });

  it('fails those of one transaction, or all', async () => {
    const waiters = new Waiters(new VirtualClock(), () => () => undefined);
    const one = waiters.wait(ID, 'decided', 1_000);
    const other = waiters.wait('another', 'ended', 1_000);
    waiters.fail(ID, new OutcomeUnknownError('one'));
    await expect(one).rejects.toThrow('one');
    waiters.failAll(new OutcomeUnknownError('all'));
    await expect(other).rejects.toThrow('all');
    waiters.failAll(new OutcomeUnknownError('nobody is left'));
  });
});
