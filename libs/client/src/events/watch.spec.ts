import { describe, expect, it } from '@jest/globals';
import type { Transaction } from '../model/transaction.js';
import { sampleCluster, sampleTransaction, TRANSACTION_ID } from '../testing/samples.js';
import { answer, broken, problem, refused, type Step } from '../testing/scripted-fetch.js';
import { settle, turns, virtualClient } from '../testing/virtual-client.js';

const OTHER_ID = '0198a8c0-0000-7000-8000-000000000009';
const encoder = new TextEncoder();

/** text, or what the connection does */
type Piece = string | { readonly does: 'break' | 'hang' };
const breaks: Piece = { does: 'break' };
const hangs: Piece = { does: 'hang' };

/** A stream of events; ends after the last piece, unless that breaks or hangs. */
function stream(...pieces: Piece[]): Step {
  return ({ signal }) => {
    const rest = [...pieces];
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => signal.addEventListener('abort', () => controller.error(signal.reason), { once: true }),
      pull(controller) {
        const piece = rest.shift();
        if (piece === undefined) controller.close();
        else if (typeof piece === 'string') controller.enqueue(encoder.encode(piece));
        else if (piece.does === 'break') controller.error(new TypeError('terminated'));
        else return new Promise<void>(() => undefined);
        return undefined;
      },
    });
    return new Response(body, { status: 200, headers: { 'content-type': 'text/event-stream' } });
  };
}

function event(logIndex: number, fields: Partial<Transaction> = {}): string {
  const transaction = sampleTransaction({ logIndex, ...fields });
  return `event: transaction\nid: ${logIndex}\ndata: ${JSON.stringify(transaction)}\n\n`;
}

async function collect<Item>(items: AsyncIterable<Item>, limit = Number.POSITIVE_INFINITY): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) {
    found.push(item);
    if (found.length >= limit) break;
  }
  return found;
}

const ended: Partial<Transaction> = { status: 'committed', endedAt: '2026-01-01T00:00:02.000Z' };
const hello = 'retry: 1000\n\n';

describe('the watch of one transaction', () => {
  it('gives each state until the end, and closes', async () => {
    const { client, script } = virtualClient([stream(hello, event(3), ': keep-alive\n\n', event(5), event(8, ended))]);
    const states = await collect(client.watch(TRANSACTION_ID));
    expect(states.map(({ logIndex }) => logIndex)).toEqual([3, 5, 8]);
    expect(script.sent[0]).toMatchObject({ method: 'GET', path: `/v1/transactions/${TRANSACTION_ID}/events` });
    expect(script.sent[0]!.signal.aborted).toBe(true);
  });

  it('outlasts a stream that breaks, one that ends, and a coordinator that is behind', async () => {
    const steps = [
      stream(hello, event(3), event(5), breaks),
      refused,
      stream(event(5)),
      stream(event(4), event(5), event(8, ended)),
    ];
    const { client, script, clock } = virtualClient(steps);
    const states = await settle(clock, collect(client.watch(TRANSACTION_ID)));
    expect(states.map(({ logIndex }) => logIndex)).toEqual([3, 5, 8]);
    expect(script.remaining).toBe(0);
    expect(clock.monotonic()).toBe(2_000);
  });

  it('leaves a stream that is silent for too long', async () => {
    const { client, script, clock } = virtualClient([stream(event(3), hangs), stream(event(8, ended))]);
    const states = await settle(clock, collect(client.watch(TRANSACTION_ID, { idleTimeoutMs: 4_000 })));
    expect(states).toHaveLength(2);
    expect(script.sent[0]!.signal.aborted).toBe(true);
    expect(clock.monotonic()).toBe(5_000);
  });

  it('says that there is no such transaction', async () => {
    const { client } = virtualClient([problem('TRANSACTION_NOT_FOUND', 404)]);
    await expect(collect(client.watch(TRANSACTION_ID))).rejects.toMatchObject({
      name: 'TransactionNotFoundError',
      transactionId: TRANSACTION_ID,
    });
  });

  it.each<[string, string, string]>([
    ['no JSON', 'event: transaction\nid: 1\ndata: {\n\n', 'not valid JSON'],
    ['no transaction', 'event: transaction\nid: 1\ndata: {}\n\n', 'the data of an event.id is missing'],
    ['no id', 'event: transaction\ndata: {}\n\n', 'no index of the log'],
  ])('refuses an event with %s', async (_, text, part) => {
    const { client } = virtualClient([stream(text)]);
    const error = { code: 'INVALID_ANSWER', message: expect.stringContaining(part) };
    await expect(collect(client.watch(TRANSACTION_ID))).rejects.toMatchObject(error);
  });

  it.each<[string, Step]>([
    ['while it waits for the next event', stream(event(3), hangs)],
    ['before it opens the next stream', stream(event(3))],
  ])('ends with the reason of the signal, %s', async (_, step) => {
    const { client } = virtualClient([step]);
    const user = new AbortController();
    const watching = collect(client.watch(TRANSACTION_ID, { signal: user.signal }));
    const reason = new Error('enough');
    const outcome = expect(watching).rejects.toBe(reason);
    await turns();
    user.abort(reason);
    await outcome;
  });

  it('ends the stream when the loop is left, and leaves no timer behind', async () => {
    const { client, script, clock } = virtualClient([stream(event(3), hangs)]);
    await collect(client.watch(TRANSACTION_ID), 1);
    expect(script.sent[0]!.signal.aborted).toBe(true);
    expect(clock.nextDueAt()).toBeUndefined();
  });
});

describe('the watch of all transactions', () => {
  const cluster = answer(200, sampleCluster({ appliedIndex: 10 }));

  it('begins at what is applied now, so that nothing between two streams is missed', async () => {
    const { client, script, clock } = virtualClient([cluster, stream(breaks), stream(event(10), event(11))]);
    const events = await settle(clock, collect(client.watchAll(), 1));
    expect(events).toMatchObject([{ kind: 'transaction', logIndex: 11 }]);
    expect(script.sent.map(({ headers }) => headers.get('last-event-id'))).toEqual([null, '10', '10']);
  });

  it('resumes after the last event, and gives none of them twice', async () => {
    const both = [event(12), event(12, { id: OTHER_ID })];
    const { client, script, clock } = virtualClient([
      stream(event(11), both[0]!, breaks),
      broken,
      stream(...both, event(13)),
    ]);
    const events = await settle(clock, collect(client.watchAll({ after: 4 }), 4));
    expect(events.map((found) => found.kind === 'transaction' && [found.logIndex, found.transaction.id])).toEqual([
      [11, TRANSACTION_ID],
      [12, TRANSACTION_ID],
      [12, OTHER_ID],
      [13, TRANSACTION_ID],
    ]);
    expect(script.sent.map(({ headers }) => headers.get('last-event-id'))).toEqual(['4', '12', '12']);
  });

  it('says when changes were missed, and goes on from there', async () => {
    const reset = 'event: reset\nid: 50\ndata: {}\n\n';
    const { client, script, clock } = virtualClient([stream(event(5), reset), stream(event(51))]);
    const events = await settle(clock, collect(client.watchAll({ after: 4 }), 3));
    expect(events.map(({ kind, logIndex }) => [kind, logIndex])).toEqual([
      ['transaction', 5],
      ['reset', 50],
      ['transaction', 51],
    ]);
    expect(script.sent[1]!.headers.get('last-event-id')).toBe('50');
  });

  it('passes over events of kinds that it does not know', async () => {
    const { client } = virtualClient([stream('event: lock\nid: 5\ndata: {}\n\n', event(6))]);
    expect(await collect(client.watchAll({ after: 4 }), 1)).toMatchObject([{ logIndex: 6 }]);
  });

  it('throws when no coordinator can be reached for as long as a call may take', async () => {
    const { client, clock } = virtualClient([stream(event(5))], { retry: { rounds: 1_000 }, timeoutMs: 20_000 });
    const watching = settle(clock, collect(client.watchAll({ after: 4 })));
    await expect(watching).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(clock.monotonic()).toBeGreaterThan(15_000);
  });
});
