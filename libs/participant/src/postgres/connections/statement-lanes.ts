import type { Client } from 'pg';
import { guarded } from '@concordat/foundation';
import { destroy } from './destroy.js';
import { classifyFailure } from '../statements/failure-classes.js';

/** One connection of a lane. */
interface Session {
  readonly client: Client;
  readonly connected: Promise<unknown>;
}

interface Lane {
  /** connected or connecting; undefined after a loss, until the next use */
  session: Session | undefined;
  pending: number;
}

/**
 * A few connections for single statements (`COMMIT PREPARED`, `ROLLBACK PREPARED`). Many are pipelined on one
 * connection, which saves both ends most of their system calls. A failing one does not disturb the next, because none
 * of them opens a transaction.
 *
 * A session that failed other than by an answer of the server is dropped; its later events (`pg` emits `error`, then
 * `end`) do not concern its successor.
 */
export class StatementLanes {
  private readonly lanes: readonly Lane[];
  private closed = false;

  /**
   * @param onConnected awaited before a new connection is used
   * @param onLost called for each connection that ends by itself
   */
  constructor(
    count: number,
    private readonly createClient: () => Client,
    private readonly onConnected: (client: Client) => Promise<void>,
    private readonly onLost: (error: Error) => void,
  ) {
    this.lanes = Array.from({ length: count }, () => ({ session: undefined, pending: 0 }));
  }

  /** Runs one statement on the connection with the fewest running ones. Rejects with the error of `pg`. */
  async run<T>(use: (client: Client) => Promise<T>): Promise<T> {
    if (this.closed) throw new Error('the connections to the database were closed');
    const lane = this.lanes.reduce((best, candidate) => (candidate.pending < best.pending ? candidate : best));
    lane.pending++;
    const session = (lane.session ??= this.open(lane));
    try {
      await session.connected;
      return await use(session.client);
    } catch (error) {
      if (classifyFailure(error).session !== 'intact') giveUp(lane, session);
      throw error;
    } finally {
      lane.pending--;
    }
  }

  /** Stops using all sessions. */
  renew(): void {
    for (const lane of this.lanes) if (lane.session) giveUp(lane, lane.session);
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(
      this.lanes.map(async ({ session }) => {
        await session?.connected;
        await session?.client.end();
      }),
    );
  }

  /** Closes every connection without waiting for running statements. */
  cut(): void {
    this.closed = true;
    for (const lane of this.lanes) if (lane.session) giveUp(lane, lane.session);
  }

  private open(lane: Lane): Session {
    const client = this.createClient();
    const lost = (error: Error): void => {
      giveUp(lane, session);
      if (!this.closed) this.onLost(error);
    };
    client.on(
      'error',
      guarded(lost, () => destroy(client)),
    );
    client.on(
      'end',
      guarded(
        () => giveUp(lane, session),
        () => destroy(client),
      ),
    );
    const session: Session = { client, connected: client.connect().then(() => this.onConnected(client)) };
    return session;
  }
}

/** Its running statements fail with the socket, and are repeated. */
function giveUp(lane: Lane, session: Session): void {
  if (lane.session === session) lane.session = undefined;
  destroy(session.client);
}
