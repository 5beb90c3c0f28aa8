import { Client } from 'undici';
import { closedLoop, type Measurement } from '../closed-loop.js';

const HEADERS = { 'content-type': 'application/json' };

/** One keep-alive connection per client to the leader; each client has a lock of its own. */
export class LockClients {
  private readonly connections: readonly Client[];

  constructor(url: string, clients: number) {
    this.connections = Array.from({ length: clients }, () => new Client(url, { pipelining: 1 }));
  }

  /** Each acquires and releases, again and again; a pair counts once. @throws Error when a request is refused */
  run(seconds: number): Promise<Measurement> {
    return closedLoop(this.connections.length, { seconds }, async (client) => {
      const [path, owner] = [`/v1/locks/bench-${client}`, `bench-${client}`];
      const body = JSON.stringify({ owner, ttlMs: 30_000 });
      const text = await this.request(client, { method: 'PUT', path, headers: HEADERS, body }, 200);
      const { fencingToken } = JSON.parse(text) as { fencingToken: number };
      await this.request(
        client,
        { method: 'DELETE', path: `${path}?owner=${owner}&fencingToken=${fencingToken}` },
        204,
      );
      return undefined;
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  private async request(client: number, options: Parameters<Client['request']>[0], expected: number): Promise<string> {
    const { statusCode, body } = await this.connections[client]!.request(options);
    const text = await body.text();
    if (statusCode !== expected) throw new Error(`a lock was answered with ${statusCode}: ${text}`);
    return text;
  }
}
