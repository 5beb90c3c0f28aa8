import { beforeEach, describe, expect, it } from '@jest/globals';
import { runGenerator } from './async-results.js';
import { GlobalSystem, type FakeService } from './testing/global-system.js';

let orders: FakeService;
let system: GlobalSystem;
let ids: Set<string | undefined>;

beforeEach(() => {
  system = new GlobalSystem();
  orders = system.service('orders');
  ids = new Set();
});

async function* words(count: number, failure?: Error): AsyncGenerator<string, void, void> {
  for (let index = 0; index < count; index++) {
    ids.add(orders.transactions.current()?.id);
    await orders.transactions.currentClient()!.query(`add word-${index}`);
    yield `word-${index}`;
  }
  if (failure) throw failure;
}

const run = (count: number, failure?: Error): AsyncGenerator<string, void, void> =>
  runGenerator(orders.transactions, {}, () => words(count, failure));

describe('an async generator', () => {
  it('is one transaction from its first value to its end, in whatever context it is consumed', async () => {
    const generator = run(3);
    expect(system.begun.size).toBe(0);
    const seen: string[] = [];
    for await (const word of generator) {
      expect(orders.transactions.current()).toBeUndefined(); // the consumer is outside
      expect(orders.words).toEqual([]);
      seen.push(word);
    }
    expect([seen, orders.words, ids.size]).toEqual([['word-0', 'word-1', 'word-2'], ['word-0', 'word-1', 'word-2'], 1]);
  });

  it('commits what it has done when its consumer stops early', async () => {
    for await (const word of run(3)) if (word === 'word-1') break;
    expect(orders.words).toEqual(['word-0', 'word-1']);
  });

  it('aborts when it throws, and when its consumer throws into it', async () => {
    const failure = new Error('no more');
    const consume = async (): Promise<void> => {
      for await (const _word of run(2, failure)) continue;
    };
    await expect(consume()).rejects.toBe(failure);
    const generator = run(2);
    await generator.next();
    await expect(generator.throw(failure)).rejects.toBe(failure);
    expect(orders.words).toEqual([]);
  });
});
