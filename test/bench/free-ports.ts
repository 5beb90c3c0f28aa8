import { createServer } from 'node:net';

/** Below the ports that the system gives to outgoing connections. */
const PORTS = { first: 25_000, last: 31_000 };

/** Free at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  const span = PORTS.last - PORTS.first;
  const start = Math.floor(Math.random() * span);
  for (let tried = 0; tried < span && ports.length < count; tried++) {
    const port = PORTS.first + ((start + tried) % span);
    if (await isFree(port)) ports.push(port);
  }
  if (ports.length < count) throw new Error(`there are no free ports between ${PORTS.first} and ${PORTS.last}`);
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
