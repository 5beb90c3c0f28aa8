import { createServer } from 'node:net';
import { invariant } from '@concordat/foundation';

/** below the ports that the system gives to outgoing connections, which nobody could listen at a moment later */
const range = { first: 24_000, last: 31_900 };
/** a process looks first where others do not */
const stride = 31;
let next = process.pid * stride;

/** Ports of this machine at which nobody listens; several test files may look at once. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  const size = range.last - range.first;
  for (let tried = 0; tried < size && found.length < count; tried++) {
    const port = range.first + (next++ % size);
    if (await isFree(port)) found.push(port);
  }
  invariant(found.length === count, 'there are free ports');
  return found;
}

/** Tries to listen, because a port may also be taken by an outgoing connection, which nobody could connect to. */
function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
