import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { GatheringSocket } from './gathering-socket.js';

class CountingSocket extends GatheringSocket {
  writes = 0;

  override _write(...given: Parameters<GatheringSocket['_write']>): void {
    this.writes++;
    super._write(...given);
  }

  override _writev(...given: Parameters<NonNullable<GatheringSocket['_writev']>>): void {
    this.writes++;
    super._writev?.(...given);
  }
}

describe('GatheringSocket', () => {
  it('writes what it is given in one turn at once, and all of it in order', async () => {
    let received = '';
    const server = createServer((socket) => socket.on('data', (chunk) => (received += chunk.toString())));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = new CountingSocket();
    socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('a');
    await Promise.resolve(); // still the same turn
    socket.write('b');
    socket.write('c');
    await new Promise((resolve) => setImmediate(resolve));
    expect(socket.writes).toBe(1);
    socket.write('d');
    socket.end();
    await once(socket, 'close');
    expect(received).toBe('abcd');
    server.close();
    await once(server, 'close');
  });
});
