import { beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { QueryResult } from 'pg';
import { JoinedClient } from './joined-client.js';
import { SessionWork } from './session-work.js';
import { RecordedSession } from './testing/recorded-session.js';

let session: RecordedSession;
let work: SessionWork;

beforeEach(() => {
  session = new RecordedSession();
  work = SessionWork.of(session);
});

const take = (): JoinedClient => new JoinedClient(work, {});
const turn = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

/** Sends the texts one after the other, as a library does. */
async function send(client: JoinedClient, ...texts: readonly string[]): Promise<string[]> {
  const tags: string[] = [];
  for (const text of texts) tags.push(((await client.query(text)) as QueryResult).command);
  return tags;
}

describe("a library's transaction on a joined client", () => {
  it('is a savepoint, taken with its first statement, and ends nothing', async () => {
    const client = take();
    expect(await send(client, 'BEGIN', 'INSERT 1', 'INSERT 2', 'COMMIT')).toEqual([
      'BEGIN',
      'INSERT',
      'INSERT',
      'COMMIT',
    ]);
    expect(session.sent).toEqual(['SAVEPOINT concordat_1', 'INSERT 1', 'INSERT 2']);
  });

  it('costs nothing without a statement', async () => {
    await send(take(), 'START TRANSACTION', 'COMMIT', 'BEGIN', 'ROLLBACK');
    expect(session.sent).toEqual([]);
  });

  it('is undone by ROLLBACK, also after a statement that failed', async () => {
    const client = take();
    await send(client, 'BEGIN', 'INSERT 1');
    await expect(client.query('FAIL')).rejects.toThrow('the statement failed');
    await send(client, 'ROLLBACK', 'SELECT 1');
    expect(session.sent.slice(-2)).toEqual(['ROLLBACK TO SAVEPOINT concordat_1', 'SELECT 1']);
    expect(() => work.refuseUnfinished()).not.toThrow();
  });

  it('does not commit what the database refused', async () => {
    const client = take();
    await send(client, 'BEGIN');
    await expect(client.query('FAIL')).rejects.toThrow();
    await expect(client.query('COMMIT')).rejects.toThrow('the statement failed');
    expect(session.sent.at(-1)).toBe('ROLLBACK TO SAVEPOINT concordat_1');
    await send(client, 'ROLLBACK', 'SELECT 1'); // as libraries do after a failed commit
  });

  it('does not commit anything of it when the failure was in a savepoint', async () => {
    const client = take();
    await send(client, 'BEGIN', 'INSERT 1', 'SAVEPOINT a');
    await expect(client.query('FAIL')).rejects.toThrow();
    await expect(client.query('COMMIT')).rejects.toThrow('the statement failed');
    expect(session.sent.at(-1)).toBe('ROLLBACK TO SAVEPOINT concordat_1');
    expect(() => work.refuseUnfinished()).not.toThrow();
  });

  it('has savepoints of its own, each with its own name on the session', async () => {
    const client = take();
    await send(client, 'BEGIN', 'INSERT 1', 'SAVEPOINT a', 'INSERT 2', 'ROLLBACK TO SAVEPOINT a', 'INSERT 3');
    await send(client, 'RELEASE a', 'INSERT 4', 'COMMIT');
    expect(session.sent).toEqual([
      'SAVEPOINT concordat_1',
      'INSERT 1',
      'SAVEPOINT concordat_2',
      'INSERT 2',
      'ROLLBACK TO SAVEPOINT concordat_2',
      'RELEASE SAVEPOINT concordat_2; SAVEPOINT concordat_3',
      'INSERT 3',
      'INSERT 4',
    ]);
    await expect(client.query('SAVEPOINT b')).rejects.toThrow('send BEGIN first');
  });

  it('knows no savepoint that was not taken or has gone', async () => {
    const client = take();
    await send(client, 'BEGIN', 'SAVEPOINT a', 'SAVEPOINT b', 'RELEASE a');
    await expect(client.query('RELEASE b')).rejects.toThrow('there is no savepoint "b"');
  });

  it('may begin and end in texts that comment on it, and begin twice', async () => {
    const client = take();
    await send(client, 'begin /* checkout */', 'BEGIN', 'INSERT 1', '/* x */ rollback', 'COMMIT');
    expect(session.sent).toEqual(['SAVEPOINT concordat_1', 'INSERT 1', 'ROLLBACK TO SAVEPOINT concordat_1']);
  });

  it('takes its statements in the order of the calls', async () => {
    const client = take();
    await Promise.all(['BEGIN', 'INSERT 1', 'COMMIT', 'SELECT 1'].map(async (text) => client.query(text)));
    expect(session.sent).toEqual(['SAVEPOINT concordat_1', 'INSERT 1', 'SELECT 1']);
  });

  it('answers several commands in one text as the server does', async () => {
    const client = take();
    const results = (await client.query('BEGIN; SET TRANSACTION READ WRITE')) as QueryResult[];
    expect(results.map(({ command }) => command)).toEqual(['BEGIN', 'SET']);
  });
});

describe("a library's wishes", () => {
  it.each(['READ COMMITTED', 'READ UNCOMMITTED'])('%s is always met', async (level) => {
    const client = take();
    await send(client, 'START TRANSACTION', `SET TRANSACTION ISOLATION LEVEL ${level}`, 'COMMIT');
    expect(session.sent).toEqual([]);
  });

  it('a level that the session does not have is refused, and no transaction is begun', async () => {
    const client = take();
    await expect(client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')).rejects.toThrow(
      'asks for SERIALIZABLE and is part of a global transaction, whose session runs with READ COMMITTED',
    );
    await expect(client.query('SAVEPOINT a')).rejects.toThrow('send BEGIN first');
    expect(() => work.refuseUnfinished()).not.toThrow();
  });

  it('a level that the session has is met', async () => {
    session.isolation = 'serializable';
    await send(
      take(),
      'BEGIN ISOLATION LEVEL REPEATABLE READ',
      'COMMIT',
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      'COMMIT',
    );
    expect(session.sent.filter((text) => text.includes('transaction_isolation'))).toHaveLength(1);
  });

  it('READ ONLY is set inside the savepoint, and ends with it', async () => {
    await send(take(), 'BEGIN READ ONLY', 'SELECT 1', 'COMMIT');
    expect(session.sent).toEqual([
      'SAVEPOINT concordat_1',
      'SET TRANSACTION READ ONLY',
      'SELECT 1',
      'ROLLBACK TO SAVEPOINT concordat_1',
    ]);
  });

  it('READ WRITE after READ ONLY is refused', async () => {
    const client = take();
    await send(client, 'BEGIN READ ONLY');
    await expect(client.query('SET TRANSACTION READ WRITE')).rejects.toThrow('cannot become one that writes');
  });
});

describe('transactions that overlap on one session', () => {
  it('come one after the other when they only send statements', async () => {
    const saves = [1, 2, 3].map((n) => send(take(), 'BEGIN', `INSERT ${n}a`, `INSERT ${n}b`, 'COMMIT'));
    await Promise.all(saves);
    expect(session.sent.filter((text) => text.startsWith('INSERT'))).toEqual(
      [1, 2, 3].flatMap((n) => [`INSERT ${n}a`, `INSERT ${n}b`]),
    );
  });

  it('so that one may fail and the others stay', async () => {
    const save = async (text: string): Promise<void> => {
      const client = take();
      await send(client, 'BEGIN');
      await send(client, text).then(
        () => send(client, 'COMMIT'),
        async (error: unknown) => {
          await send(client, 'ROLLBACK');
          throw error;
        },
      );
    };
    const outcomes = await Promise.allSettled(['INSERT 1', 'FAIL', 'INSERT 2'].map(save));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(() => work.refuseUnfinished()).not.toThrow();
  });

  it('let each other in while they wait for something else, so that none waits for ever', async () => {
    const outer = take();
    await send(outer, 'BEGIN', 'INSERT 1');
    await send(take(), 'BEGIN', 'INSERT 2', 'COMMIT'); // inside the callback of the outer one
    await send(outer, 'COMMIT');
    expect(() => work.refuseUnfinished()).not.toThrow();
  });

  it('and then cannot be undone without the work of others: everything is refused', async () => {
    const outer = take();
    await send(outer, 'BEGIN', 'INSERT 1');
    await send(take(), 'BEGIN', 'INSERT 2', 'COMMIT');
    await expect(outer.query('ROLLBACK')).rejects.toThrow('cannot be undone alone');
    expect(() => work.refuseUnfinished()).toThrow('await one transaction before the next begins');
  });

  it('a statement outside waits for a transaction that is at work', async () => {
    const client = take();
    const saved = send(client, 'BEGIN', 'INSERT 1', 'INSERT 2', 'COMMIT');
    await Promise.all([saved, send(take(), 'SELECT 1')]);
    expect(session.sent.at(-1)).toBe('SELECT 1');
  });
});

describe('a client that is given back', () => {
  it('leaves nothing of a transaction that was not ended', async () => {
    const client = take();
    await send(client, 'BEGIN', 'INSERT 1');
    client.release();
    expect(() => work.refuseUnfinished()).toThrow('still open when the handler returned');
    await turn();
    await turn();
    expect(session.sent.at(-1)).toBe('ROLLBACK TO SAVEPOINT concordat_1');
    expect(() => work.refuseUnfinished()).not.toThrow();
  });

  it('is not used again', async () => {
    const client = take();
    client.release();
    expect(() => client.query('SELECT 1')).toThrow('take another one');
    expect(() => client.release()).toThrow('already been given back');
    await client.end();
  });
});

describe('the forms of a query', () => {
  const text = 'SELECT $1';

  it.each<[string, (client: JoinedClient) => unknown]>([
    ['text and values', (client) => client.query(text, [7])],
    ['a configuration', (client) => client.query({ text, values: [7] })],
    ['a configuration and values', (client) => client.query({ text }, [7])],
    ['text, values and a callback', (client) => called((done) => client.query(text, [7], done))],
    ['a configuration and a callback', (client) => called((done) => client.query({ text, values: [7] }, done))],
    [
      'a configuration with its callback',
      (client) => called((callback) => client.query({ text, values: [7], callback })),
    ],
    [
      'an object that inherits its fields',
      (client) =>
        client.query(
          new (class {
            get text() {
              return text;
            }
            get values() {
              return [7];
            }
          })(),
        ),
    ],
  ])('%s', async (_, call) => {
    expect(await call(take())).toMatchObject({ command: 'SELECT' });
    expect(session.configurations).toEqual([{ text, values: [7] }]);
  });

  it('a callback gets the error', async () => {
    await expect(called((done) => take().query('FAIL', done))).rejects.toThrow('the statement failed');
  });

  it('name, row mode and parsers are passed on; those of the pool count where the query has none', async () => {
    const types = { getTypeParser: () => (value: unknown) => value };
    const client = new JoinedClient(work, { types });
    await client.query({ text, name: 'one', rowMode: 'array' });
    expect(session.configurations).toEqual([{ text, name: 'one', rowMode: 'array', types }]);
  });

  it.each([
    ['a cursor', Object.assign(new EventEmitter(), { text, submit: () => undefined }), 'in pages'],
    ['nothing', undefined, 'needs a text'],
    ['a number', 7, 'needs a text'],
  ])('%s is refused', (_, query, sentence) => {
    expect(() => take().query(query)).toThrow(sentence);
  });
});

function called(call: (done: (error: Error | null, result: unknown) => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const returned = call((error, result) => (error ? reject(error) : resolve(result)));
    expect(returned).toBeUndefined();
  });
}

describe("a library's transaction that stands for the whole branch", () => {
  it('begins without a part of its own, and cannot be ended', async () => {
    const client = new JoinedClient(work.whole());
    await send(client, 'START TRANSACTION', 'INSERT 1', 'SAVEPOINT a', 'INSERT 2', 'RELEASE a');
    expect(session.sent).toEqual(['INSERT 1', 'SAVEPOINT concordat_1', 'INSERT 2']);
    await expect(client.query('COMMIT')).rejects.toThrow('throw an error to refuse the branch');
    await expect(client.query('ROLLBACK')).rejects.toThrow('throw an error to refuse the branch');
    client.release();
    await turn();
    expect(() => work.refuseUnfinished()).not.toThrow();
  });
});
