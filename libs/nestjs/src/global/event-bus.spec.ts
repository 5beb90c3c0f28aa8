import { beforeEach, describe, expect, it } from '@jest/globals';
import { GlobalSystem, type FakeService } from '@concordat/participant/testing';
import { publishAfterCommit } from './event-bus.js';

class Bus {
  readonly published: string[] = [];

  publish(event: string): string {
    this.published.push(event);
    return 'published';
  }

  publishAll(events: string[]): void {
    this.published.push(...events);
  }
}

let orders: FakeService;
let bus: Bus;

beforeEach(() => {
  orders = new GlobalSystem().service('orders');
  bus = new Bus();
});

describe('events of @nestjs/cqrs', () => {
  it('come after the commit, in order, and at once outside a transaction', async () => {
    publishAfterCommit(bus, orders.transactions);
    expect(bus.publish('outside')).toBe('published');
    await orders.transactions.run({}, async () => {
      expect(bus.publish('first')).toBeUndefined();
      bus.publishAll(['second', 'third']);
      await orders.transactions.currentClient()!.query('add order');
      expect(bus.published).toEqual(['outside']);
    });
    expect(bus.published).toEqual(['outside', 'first', 'second', 'third']);
  });

  it('never come from a method that was undone, or a transaction that aborted', async () => {
    publishAfterCommit(bus, orders.transactions);
    const failing = async (): Promise<void> => {
      bus.publish('undone');
      throw new Error('no');
    };
    await orders.transactions.run({}, async () => {
      await orders.transactions.run({}, failing).catch(() => undefined);
    });
    await orders.transactions.run({}, failing).catch(() => undefined);
    expect(bus.published).toEqual([]);
  });

  it('are as before when it is undone', async () => {
    const undo = publishAfterCommit(bus, orders.transactions);
    undo();
    await orders.transactions.run({}, async () => void bus.publish('at once'));
    expect([bus.published, Object.hasOwn(bus, 'publish')]).toEqual([['at once'], false]);
  });
});
