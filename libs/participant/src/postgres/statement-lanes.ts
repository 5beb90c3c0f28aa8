import { Client, type ClientConfig } from 'pg';
import { GatheringSocket } from './gathering-socket.js';

interface Lane {
  /** connected or connecting; undefined after it was lost, until somebody needs it */
  client: Promise<Client> | undefined;
  pending: number;
}

/**
 * A few connections for statements that stand alone (`COMMIT PREPARED`, `ROLLBACK PREPARED`): many share one
 * connection and follow each other on it without waiting for answers, which saves both ends most of their system
 * calls. A failing one does not disturb those behind it, because none of them opens a transaction.
 */
export class StatementLanes {
  private readonly lanes: readonly Lane[];
  private closed = false;

  /** @param onLost told of each connection that ends by itself */
  constructor(
    count: number,
    private readonly config: ClientConfig,
    private readonly onLost: (error: Error) => void,
  ) {
    this.lanes = Array.from({ length: count }, () => ({ client: undefined, pending: 0 }));
  }

  /** Runs one statement on the connection with the fewest under way. Rejects with what `pg` rejects with. */
  async run<T>(use: (client: Client) => Promise<T>): Promise<T> {
    const lane = this.lanes.reduce((best, candidate) => (candidate.pending < best.pending ? candidate : best));
    lane.pending++;
    try {
      lane.client ??= this.connect(lane);
      return await use(await lane.client);
    } finally {
      lane.pending--;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.lanes.map(async ({ client }) => (await client)?.end()));
  }

  private async connect(lane: Lane): Promise<Client> {
    const stream = (): GatheringSocket => new GatheringSocket();
    const client = new Client({ ...this.config, pipeline: true, stream });
    const forget = (): void => {
      lane.client = undefined;
    };
    client.on('error', (error) => {
      forget();
      if (!this.closed) this.onLost(error);
    });
    client.on('end', forget);
    try {
      await client.connect();
      return client;
    } catch (error) {
      forget();
      throw error;
    }
  }
}
