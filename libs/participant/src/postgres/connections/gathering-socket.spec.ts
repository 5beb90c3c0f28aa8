import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { connect, createServer as createTlsServer } from 'node:tls';
import { describe, expect, it } from '@jest/globals';
import { LocalAuthority } from '@concordat/foundation/authority';
import { GatheringSocket, gatherWrites } from './gathering-socket.js';

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

  it('does the same above TLS, which passes the socket below by', async () => {
    let received = '';
    const authority = LocalAuthority.create('authority');
    const server = createTlsServer(authority.issue({ subject: 'server' }), (socket) =>
      socket.on('data', (chunk) => (received += chunk.toString())),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const below = new GatheringSocket();
    below.connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(below, 'connect');
    const socket = connect({ socket: below, host: '127.0.0.1', ca: authority.certificate });
    gatherWrites(socket);
    await once(socket, 'secureConnect');
    socket.write('0'); // behind the end of the handshake
    await new Promise((resolve) => setImmediate(resolve));
    const before = below.bytesWritten;
    socket.write('a');
    socket.write('b');
    expect(below.bytesWritten).toBe(before); // nothing leaves before the turn ends
    await new Promise((resolve) => setImmediate(resolve));
    const ofOneRecord = below.bytesWritten - before;
    socket.write('c');
    await new Promise((resolve) => setImmediate(resolve));
    expect(below.bytesWritten - before - ofOneRecord).toBe(ofOneRecord - 1); // a record with one byte less
    socket.end();
    await once(socket, 'close');
    expect(received).toBe('0abc');
    server.close();
    await once(server, 'close');
  });
});
