import { describe, expect, it } from '@jest/globals';
import { SystemClock, VirtualClock, type Clock } from '@concordat/foundation';
import type { ClientBase } from 'pg';
import { findPooling } from './pooling.js';

type Mode = 'none' | 'session' | 'transaction';
/** which of the free sessions a pooler lends: the one given back last (pgbouncer's default), or first */
type Preference = 'last' | 'first';

/** A pooler with a few sessions of a server, or the server itself. A connection without one waits for its turn. */
class Pooler {
  private readonly free: number[];
  private readonly waiting: ((session: number) => void)[] = [];
  private opened = 0;

  constructor(
    private readonly mode: Mode,
    sessions: number,
    private readonly prefers: Preference,
  ) {
    this.free = Array.from({ length: sessions }, (_, index) => 100 + index);
  }

  open(): ClientBase {
    const number = 900 + this.opened++;
    let session = this.mode === 'transaction' ? undefined : this.take();
    let inTransaction = false;
    const query = async (text: string): Promise<unknown> => {
      session ??= this.take();
      const lent = await session;
      if (text === 'BEGIN') inTransaction = true;
      if (text === 'COMMIT') inTransaction = false;
      if (this.mode === 'transaction' && !inTransaction) {
        session = undefined;
        this.giveBack(lent);
      }
      return { rows: [{ pid: lent }] };
    };
    const processID = this.mode === 'none' ? 100 + this.opened - 1 : number;
    return { processID, query } as unknown as ClientBase;
  }

  private take(): Promise<number> {
    const session = this.prefers === 'last' ? this.free.pop() : this.free.shift();
    if (session !== undefined) return Promise.resolve(session);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private giveBack(session: number): void {
    const next = this.waiting.shift();
    if (next) next(session);
    else this.free.push(session);
  }
}

const look = async (pooler: Pooler, clock: Clock): Promise<{ found: string; opened: number }> => {
  let opened = 0;
  const found = await findPooling(pooler.open(), {
    clock,
    backend: async (client) => {
      const { rows } = (await client.query('SELECT pid')) as { rows: { pid: number }[] };
      return rows[0]!.pid;
    },
    openSecond: async () => {
      opened++;
      return pooler.open();
    },
  });
  return { found, opened };
};

describe('the look for a pooler', () => {
  it('needs one connection to the server itself', async () => {
    expect(await look(new Pooler('none', 5, 'first'), new VirtualClock())).toEqual({ found: 'direct', opened: 0 });
  });

  it.each<[Mode, number, Preference]>([
    ['session', 2, 'last'],
    ['session', 5, 'first'],
    ['transaction', 2, 'last'],
    ['transaction', 5, 'last'],
    ['transaction', 2, 'first'],
    ['transaction', 5, 'first'],
  ])('finds a pooler in %s mode with %i sessions that lends the %s', async (mode, sessions, prefers) => {
    expect(await look(new Pooler(mode, sessions, prefers), new VirtualClock())).toEqual({ found: mode, opened: 1 });
  });

  it('finds one in transaction mode with a single session, which answers only after the transaction', async () => {
    expect((await look(new Pooler('transaction', 1, 'last'), new SystemClock())).found).toBe('transaction');
  });

  it('gives up on one in session mode that has no second session', async () => {
    const clock = new VirtualClock();
    const found = look(new Pooler('session', 1, 'last'), clock);
    await new Promise(setImmediate);
    clock.advance(5_000);
    expect((await found).found).toBe('unknown');
  });
});
