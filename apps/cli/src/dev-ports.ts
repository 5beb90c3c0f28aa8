import { createServer } from 'node:net';
import { guarded } from '@concordat/foundation';

/** The first of these ports that nobody can listen on. */
export async function takenPort(host: string, ports: readonly number[]): Promise<number | undefined> {
  for (const port of ports) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve, reject) => {
      const settle = (free: boolean) => guarded(() => resolve(free), reject);
      const [guardedFree, guardedTaken] = [settle(true), settle(false)];
      server.once('error', guardedTaken);
      server.listen(port, host, guardedFree);
    });
    if (!isFree) return port;
    await new Promise((resolve) => server.close(resolve));
  }
  return undefined;
}
