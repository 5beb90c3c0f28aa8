import { beforeEach, describe, expect, it } from '@jest/globals';
import type { DoneMessage, VoteMessage } from '@concordat/commit-protocol';
import { VirtualClock, silentLogger } from '@concordat/foundation';
import type { MessageBus, OutgoingMessage } from '@concordat/messaging';
import { ReplyBatcher } from './reply-batcher.js';

const address = (n: number) => ({ transactionId: `t-${n}`, branchId: `b-${n}`, participant: 'bank-a' });
const vote = (n: number): VoteMessage => ({ type: 'vote', ...address(n), vote: 'yes', results: [] });
const done = (n: number): DoneMessage => ({ type: 'done', ...address(n), end: 'committed' });

describe('ReplyBatcher', () => {
  let clock: VirtualClock;
  let published: string[][];
  let replies: ReplyBatcher;

  beforeEach(() => {
    clock = new VirtualClock();
    published = [];
    const publish = (messages: readonly OutgoingMessage[]): Promise<void> => {
      published.push(messages.map(({ message }) => message.type));
      return Promise.resolve();
    };
    replies = new ReplyBatcher({ publish } as MessageBus, clock, silentLogger, 25);
  });

  it('sends the prompt messages of one turn together, at its end', async () => {
    replies.send(vote(1));
    replies.send(vote(2));
    expect(published).toEqual([]);
    await Promise.resolve();
    expect(published).toEqual([['vote', 'vote']]);
  });

  it('sends lazy messages with the next prompt one, without a request of their own', async () => {
    replies.sendLazily(done(1));
    await Promise.resolve();
    clock.advance(24);
    expect(published).toEqual([]);
    replies.send(vote(2));
    replies.sendLazily(done(3));
    await Promise.resolve();
    expect(published).toEqual([['vote', 'done', 'done']]);
    clock.advance(1_000);
    expect(published).toHaveLength(1);
  });

  it('sends lazy messages alone after their delay, counted from the first', () => {
    replies.sendLazily(done(1));
    clock.advance(20);
    replies.sendLazily(done(2));
    clock.advance(5);
    expect(published).toEqual([['done', 'done']]);
    replies.sendLazily(done(3));
    clock.advance(24);
    expect(published).toHaveLength(1);
    clock.advance(1);
    expect(published).toEqual([['done', 'done'], ['done']]);
  });

  it('sends many lazy messages at the end of the turn', async () => {
    for (let n = 0; n < 600; n++) replies.sendLazily(done(n));
    await Promise.resolve();
    expect(published.map(({ length }) => length)).toEqual([600]);
  });

  it('flushes everything, and waits for it', async () => {
    replies.sendLazily(done(1));
    replies.send(vote(2));
    await replies.flush();
    expect(published).toEqual([['vote', 'done']]);
  });

  it('warns of messages that were dropped, but for announcements, which are repeated anyway', async () => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (line: string) => void warnings.push(line) };
    const publish = (): Promise<void> => Promise.reject(new Error('no stream'));
    const batcher = new ReplyBatcher({ publish } as unknown as MessageBus, clock, logger, 25);
    batcher.send({ type: 'announce', participant: 'bank-a', instance: 'a', operations: [] });
    await batcher.flush();
    expect(warnings).toEqual([]);
    batcher.send(vote(1));
    await batcher.flush();
    expect(warnings).toEqual(['1 messages were dropped; their receivers will ask again: no stream']);
  });
});
