import { request, ServerResponse, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { TransactionNotFoundError } from '../transactions/errors.js';
import type { TransactionEvent, TransactionView } from '../transactions/transactions.api.js';
import { EventStreams } from './event-streams.js';
import { active, BRANCH_ID, committed, committing, ID } from './testing/fake-engine.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

interface SentEvent {
  readonly event: string;
  readonly id: number;
  readonly data: unknown;
}

/** A client of server-sent events that reads as far as a test wants. */
class Client {
  private text = '';
  private wake: () => void = () => undefined;
  ended = false;

  constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      this.text += chunk;
      this.wake();
    });
    response.on('close', () => {
      this.ended = true;
      this.wake();
    });
    response.on('error', () => undefined);
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<Client> {
    const call = request(url, { headers, agent: false });
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    return new Client(response);
  }

  async events(count: number): Promise<SentEvent[]> {
    await this.until(() => this.parse().length >= count);
    return this.parse();
  }

  async end(): Promise<void> {
    await this.until(() => this.ended);
  }

  parse(): SentEvent[] {
    const blocks = this.text.split('\n\n').slice(0, -1);
    return blocks.flatMap((block) => {
      const fields = new Map(
        block.split('\n').map((line) => [line.split(': ')[0], line.slice(line.indexOf(': ') + 2)]),
      );
      const event = fields.get('event');
      if (event === undefined) return [];
      return [{ event, id: Number(fields.get('id')), data: JSON.parse(fields.get('data') ?? '') as unknown }];
    });
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.wake = resolve));
  }
}

/** Changes of as many transactions, at indexes from 1 on. */
function eventsOf(count: number, sizeBytes: number): TransactionEvent[] {
  const metadata = { text: 'x'.repeat(sizeBytes) };
  return Array.from({ length: count }, (_, index) => {
    const transaction = { ...active, id: `transaction ${index + 1}`, metadata, logIndex: index + 1 };
    return { logIndex: index + 1, transaction };
  });
}

let node: TestNode;
let url: string;
let streams: EventStreams;
const clients: Client[] = [];
beforeAll(async () => {
  node = await createTestNode();
  url = await node.listen();
  streams = node.app.get(EventStreams, { strict: false });
});
afterAll(() => node.app.close());
beforeEach(() => {
  node.transactions.view = active;
  node.transactions.failure = undefined;
  node.transactions.missed = { kind: 'events', events: [], more: false };
});
afterEach(() => {
  for (const client of clients.splice(0)) client.response.destroy();
  streams.closeAll();
});

async function open(path: string, headers?: Record<string, string>): Promise<Client> {
  const client = await Client.open(`${url}${path}`, headers);
  clients.push(client);
  return client;
}
function event(transaction: TransactionView): SentEvent {
  return { event: 'transaction', id: transaction.logIndex, data: transaction };
}

describe('GET /v1/events', () => {
  it('streams each change with its index', async () => {
    const client = await open('/v1/events');
    expect(client.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-content-type-options': 'nosniff',
    });
    node.transactions.publish(active);
    node.transactions.publish(committed);
    expect(await client.events(2)).toEqual([event(active), event(committed)]);
  });

  it('resumes after a Last-Event-ID, and sends nothing twice', async () => {
    node.transactions.missed = { kind: 'events', events: [{ logIndex: 8, transaction: committing }], more: false };
    const client = await open('/v1/events', { 'last-event-id': '7' });
    node.transactions.publish(committing);
    node.transactions.publish(committed);
    expect(await client.events(2)).toEqual([event(committing), event(committed)]);
    expect(node.transactions.calls).toContainEqual(['missedSince', 7]);
  });

  it('streams every transaction that one log entry changed, also to a client that has seen only some of them', async () => {
    const other = { ...committed, id: BRANCH_ID };
    const client = await open('/v1/events');
    node.transactions.publish(committed);
    node.transactions.publish(other);
    expect(await client.events(2)).toEqual([event(committed), event(other)]);
    const both = [committed, other].map((transaction) => ({ logIndex: transaction.logIndex, transaction }));
    node.transactions.missed = { kind: 'events', events: both, more: false };
    const resumed = await open('/v1/events', { 'last-event-id': String(committed.logIndex) });
    expect(await resumed.events(2)).toEqual([event(committed), event(other)]);
  });

  it('says reset to who listens when a snapshot brings changes without events, and goes on from there', async () => {
    const client = await open('/v1/events');
    node.transactions.publish(active);
    node.transactions.reset(30);
    node.transactions.publish(committed); // of before
    const later = { ...active, logIndex: 31 };
    node.transactions.publish(later);
    expect(await client.events(3)).toEqual([event(active), { event: 'reset', id: 30, data: {} }, event(later)]);
  });

  it('says reset when that is too long ago, and goes on from now', async () => {
    node.transactions.missed = { kind: 'reset' };
    const client = await open('/v1/events', { 'last-event-id': '2' });
    const later = { ...active, logIndex: 50 };
    node.transactions.publish(later);
    expect(await client.events(2)).toEqual([{ event: 'reset', id: 41, data: {} }, event(later)]);
  });

  it('listens only while somebody listens to it', async () => {
    expect(node.transactions.listeners.size).toBe(0);
    const client = await open('/v1/events');
    expect(node.transactions.listeners.size).toBe(1);
    client.response.destroy();
    while (node.transactions.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(streams.size).toBe(0);
  });

  it.each([
    [8, 200_000],
    [1_800, 1_000],
  ])('catches up with %d transactions of %d bytes', async (count, sizeBytes) => {
    const events = eventsOf(count, sizeBytes);
    node.transactions.missed = { kind: 'events', events, more: false };
    const client = await open('/v1/events', { 'last-event-id': '0' });
    expect((await client.events(count)).map(({ id }) => id)).toEqual(events.map(({ logIndex }) => logIndex));
    const later = { ...active, logIndex: count + 1 };
    node.transactions.publish(later);
    expect((await client.events(count + 1)).at(-1)).toEqual(event(later));
  });

  it('loses no event of a burst, and is live again behind it', async () => {
    const client = await open('/v1/events');
    const events = eventsOf(3_000, 1_000);
    for (const [index, { transaction }] of events.entries()) {
      node.transactions.missed = { kind: 'events', events: events.slice(0, index + 1), more: false };
      node.transactions.publish(transaction);
    }
    expect((await client.events(3_000)).map(({ id }) => id)).toEqual(events.map(({ logIndex }) => logIndex));
    expect(streams.size).toBe(1);
  });

  it('says reset to a client that read too slowly for the history', async () => {
    const client = await open('/v1/events');
    client.response.pause();
    for (const { transaction } of eventsOf(40, 200_000)) node.transactions.publish(transaction);
    node.transactions.missed = { kind: 'reset' };
    client.response.resume();
    await client.until(() => client.parse().some((sent) => sent.event === 'reset'));
    expect(streams.size).toBe(1);
  });

  it('is served by a follower, too', async () => {
    node.cluster.leads = false;
    const client = await open('/v1/events');
    node.transactions.publish(active);
    expect(await client.events(1)).toEqual([event(active)]);
    node.cluster.leads = true;
  });
});

describe('the keep-alive of a stream', () => {
  afterEach(() => {
    jest.useRealTimers();
    node.cluster.outside = undefined;
  });

  it('comes every 15 s, and ends the stream of a node that was removed from its group', async () => {
    jest.useFakeTimers({
      doNotFake: [
        'nextTick',
        'setImmediate',
        'clearImmediate',
        'setTimeout',
        'clearTimeout',
        'queueMicrotask',
        'performance',
        'Date',
        'hrtime',
      ],
    });
    const call = request(`${url}/v1/events`, { agent: false });
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    response.setEncoding('utf8');
    let text = '';
    response.on('data', (chunk: string) => (text += chunk));
    const ended = once(response, 'end');
    jest.advanceTimersByTime(15_000);
    while (!text.includes(': keep-alive')) await new Promise((resolve) => setImmediate(resolve));
    expect(streams.size).toBe(1);
    node.cluster.outside = 'node 1 was removed from the group';
    jest.advanceTimersByTime(15_000);
    await ended;
    expect(streams.size).toBe(0);
  });
});

describe('a client that reads nothing', () => {
  afterEach(() => void jest.useRealTimers());

  it('holds little memory, and is cut off after 30 s', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'clearImmediate', 'queueMicrotask', 'performance'] });
    const call = request(`${url}/v1/events`, { agent: false });
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    response.pause();
    const held = jest.spyOn(ServerResponse.prototype, 'write');
    for (const { transaction } of eventsOf(1_000, 200_000)) {
      node.transactions.publish(transaction);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(held.mock.calls.length).toBeLessThan(50); // what the buffers of the system take, and one more
    held.mockRestore();
    jest.advanceTimersByTime(29_000);
    expect(streams.size).toBe(1);
    jest.advanceTimersByTime(1_000);
    expect(streams.size).toBe(0);
    response.destroy();
  });
});

describe('GET /v1/transactions/{id}/events', () => {
  const path = `/v1/transactions/${ID}/events`;

  it('opens with the state, shows its own changes only, and closes when it has ended', async () => {
    const client = await open(path);
    node.transactions.publish({ ...active, id: BRANCH_ID, logIndex: 8 });
    node.transactions.publish(committing);
    node.transactions.publish(committed);
    await client.end();
    expect(await client.events(3)).toEqual([event(active), event(committing), event(committed)]);
    expect(node.transactions.calls).toContainEqual(['get', ID, 'stale']);
    expect(streams.size).toBe(0);
  });

  it('misses nothing that came while the state was asked for', async () => {
    node.transactions.missed = {
      kind: 'events',
      more: false,
      events: [
        { logIndex: 8, transaction: { ...committing, id: BRANCH_ID } },
        { logIndex: 9, transaction: committed },
      ],
    };
    const client = await open(path);
    await client.end();
    expect(await client.events(2)).toEqual([event(active), event(committed)]);
  });

  it('shows the state and closes when it had ended before', async () => {
    node.transactions.view = committed;
    const client = await open(path, { 'last-event-id': '5' });
    await client.end();
    expect(await client.events(1)).toEqual([event(committed)]);
  });

  it('shows the state that a snapshot brought, and closes when it has ended or was dropped', async () => {
    const client = await open(path);
    node.transactions.view = committing;
    node.transactions.reset(8);
    expect(await client.events(2)).toEqual([event(active), event(committing)]);
    node.transactions.reset(8); // nothing new
    node.transactions.view = committed;
    node.transactions.reset(9);
    await client.end();
    expect(await client.events(3)).toEqual([event(active), event(committing), event(committed)]);
    node.transactions.view = active;
    const other = await open(path);
    node.transactions.failure = new TransactionNotFoundError('no transaction has this id');
    node.transactions.reset(50);
    await other.end();
    expect(streams.size).toBe(0);
  });

  it('answers 404 as a problem', async () => {
    node.transactions.failure = new TransactionNotFoundError('no transaction has this id');
    const answer = await node.app.inject({ method: 'GET', url: path });
    expect(answer.json()).toMatchObject({ status: 404, code: 'TRANSACTION_NOT_FOUND' });
  });

  it('waits on a follower for a transaction that it does not know yet', async () => {
    node.cluster.leads = false;
    node.transactions.failure = new TransactionNotFoundError('no transaction has this id');
    const opening = open(path);
    while (node.transactions.listeners.size === 0) await new Promise((resolve) => setImmediate(resolve));
    node.transactions.publish(active);
    const client = await opening;
    expect(await client.events(1)).toEqual([event(active)]);
    node.cluster.leads = true;
  });

  it('answers HEAD without a stream', async () => {
    const answer = await node.app.inject({ method: 'HEAD', url: '/v1/events' });
    expect(answer.statusCode).toBe(200);
    expect(streams.size).toBe(0);
  });
});

describe('when the node stops', () => {
  it('ends every stream', async () => {
    const stopping = await createTestNode();
    const stoppingUrl = await stopping.listen();
    const [all, one] = await Promise.all(
      ['/v1/events', `/v1/transactions/${ID}/events`].map((path) => Client.open(`${stoppingUrl}${path}`)),
    );
    stopping.app.get(EventStreams, { strict: false }).closeAll();
    await Promise.all([all?.end(), one?.end()]);
    expect(all?.response.complete && one?.response.complete).toBe(true);
    await stopping.app.close();
  });
});
