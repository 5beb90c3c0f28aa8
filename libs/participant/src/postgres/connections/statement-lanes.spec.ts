import { describe, expect, it } from '@jest/globals';
import { EventEmitter } from 'node:events';
import type { Client } from 'pg';
import { StatementLanes } from './statement-lanes.js';

class FakeClient extends EventEmitter {
  destroyed = false;
  readonly connection = { stream: { destroy: () => void (this.destroyed = true) } };
  constructor(private readonly refused: boolean) {
    super();
  }
  connect = (): Promise<void> => (this.refused ? Promise.reject(new Error('connection refused')) : Promise.resolve());
  end = (): Promise<void> => Promise.resolve();
}

function createLanes(refusedConnections = 0): { lanes: StatementLanes; clients: FakeClient[] } {
  const clients: FakeClient[] = [];
  const create = (): Client => {
    const client = new FakeClient(clients.length < refusedConnections);
    clients.push(client);
    return client as unknown as Client;
  };
  return {
    lanes: new StatementLanes(
      1,
      create,
      () => Promise.resolve(),
      () => undefined,
    ),
    clients,
  };
}

const used = async (lanes: StatementLanes): Promise<unknown> => lanes.run((client) => Promise.resolve(client));

describe('a lane', () => {
  it('that lost its connection keeps the newer one when the old one says end after error', async () => {
    const { lanes, clients } = createLanes();
    await used(lanes);
    clients[0]!.emit('error', new Error('lost'));
    expect(await used(lanes)).toBe(clients[1]);
    clients[0]!.emit('end');
    expect(await used(lanes)).toBe(clients[1]);
    expect(clients.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  });

  it('gives up a connection on which a statement was not answered', async () => {
    const { lanes, clients } = createLanes();
    await expect(lanes.run(() => Promise.reject(new Error('Query read timeout')))).rejects.toThrow('timeout');
    expect(clients[0]!.destroyed).toBe(true);
    expect(await used(lanes)).toBe(clients[1]);
  });

  it('keeps a connection whose server refused a statement', async () => {
    const { lanes, clients } = createLanes();
    const refusal = Object.assign(new Error('no such gid'), { code: '42704', severity: 'ERROR' });
    await expect(lanes.run(() => Promise.reject(refusal))).rejects.toThrow('gid');
    expect(await used(lanes)).toBe(clients[0]);
  });

  it('tries again after a connection that could not be made', async () => {
    const { lanes, clients } = createLanes(1);
    await expect(used(lanes)).rejects.toThrow('refused');
    expect(await used(lanes)).toBe(clients[1]);
  });

  it('makes no connection after its end', async () => {
    const { lanes, clients } = createLanes();
    await lanes.close();
    await expect(used(lanes)).rejects.toThrow('closed');
    expect(clients).toHaveLength(0);
  });
});
