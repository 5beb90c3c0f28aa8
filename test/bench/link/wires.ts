import { connect, createServer } from 'node:net';
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { BatchReader, withLength } from './batches.js';

export const WIRES = ['frames', 'gRPC'] as const;
export type WireName = (typeof WIRES)[number];

/** One end of a stream of batches. */
export interface Wire {
  write(batch: Buffer): void;
  close(): void;
}

/** Called once for each stream; returns what to do with its batches. */
export type Accept = (write: (batch: Buffer) => void) => (batch: Buffer) => void;

const LOOPBACK = '127.0.0.1';
const PATH = '/concordat.bench.Link/Stream';
const same = (bytes: Buffer): Buffer => bytes;
const SERVICE: ServiceDefinition = {
  stream: {
    path: PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};

/** Listens on a port that the system chooses, and returns it. */
export async function listen(wire: WireName, accept: Accept): Promise<number> {
  return wire === 'frames' ? listenForFrames(accept) : listenForGrpc(accept);
}

export async function dial(wire: WireName, port: number, onBatch: (batch: Buffer) => void): Promise<Wire> {
  return wire === 'frames' ? dialFrames(port, onBatch) : dialGrpc(port, onBatch);
}

async function listenForFrames(accept: Accept): Promise<number> {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    const take = accept((batch) => void socket.write(withLength(batch)));
    const reader = new BatchReader();
    socket.on('data', (chunk) => reader.push(chunk).forEach(take));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

async function dialFrames(port: number, onBatch: (batch: Buffer) => void): Promise<Wire> {
  const socket = connect({ port, host: LOOPBACK, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const reader = new BatchReader();
  socket.on('data', (chunk) => reader.push(chunk).forEach(onBatch));
  return { write: (batch) => void socket.write(withLength(batch)), close: () => void socket.destroy() };
}

async function listenForGrpc(accept: Accept): Promise<number> {
  const server = new Server();
  server.addService(SERVICE, {
    stream: (call: ServerDuplexStream<Buffer, Buffer>) => {
      const take = accept((batch) => void call.write(batch));
      call.on('data', take);
      call.on('error', () => call.destroy());
      call.on('end', () => call.end());
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(`${LOOPBACK}:0`, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
}

async function dialGrpc(port: number, onBatch: (batch: Buffer) => void): Promise<Wire> {
  const client = new Client(`${LOOPBACK}:${port}`, credentials.createInsecure());
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(PATH, same, same);
  call.on('data', onBatch);
  call.on('error', () => undefined); // it is cancelled at the end
  return {
    write: (batch) => void call.write(batch),
    close: () => {
      call.cancel();
      client.close();
    },
  };
}
