import { Client, type ClientConfig } from 'pg';
import { errorMessage, guarded } from '@concordat/foundation';
import { GatheringSocket, gatherWrites } from './gathering-socket.js';

/** A connection that sends each statement without waiting for the answer before it, and those of one turn at once. */
export class GatheringClient extends Client {
  constructor(config?: ClientConfig) {
    const { password, stream = () => new GatheringSocket() } = config ?? {}; // a stream of the settings gathers by itself
    // pg-pool hides the password, which a copy of its options would leave out
    super({ ...config, ...(password !== undefined && { password }), pipeline: true, stream });
    // the TLS of pg itself takes over the handle of the socket below it, and passes its `write` by
    const gather = (): void => gatherWrites(this.connection.stream);
    this.connection.once(
      'sslconnect',
      guarded(gather, (error) => process.emitWarning(`statements are sent one by one: ${errorMessage(error)}`)),
    );
  }
}
