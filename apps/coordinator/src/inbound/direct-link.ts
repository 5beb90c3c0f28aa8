import {
  errorMessage,
  formatAddress,
  openFilesLimit,
  streamLimit,
  type Address,
  type Clock,
  type Logger,
} from '@concordat/foundation';
import { DirectCoordinatorBus, LinkServer, type CoordinatorStatus } from '@concordat/messaging';

export interface DirectLinkOptions {
  readonly nodeId: number;
  readonly cluster: string;
  /** port 0: one that the system chooses */
  readonly listen: Address;
  /** told to participants instead of the listening address */
  readonly advertised?: Address | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The direct streams of a coordinator: the port for participants, and the status that they get of this node and its
 * group.
 *
 * States: new → listening (`open`) → closed.
 */
export class DirectLink {
  readonly bus: DirectCoordinatorBus;
  private readonly server: LinkServer;
  private readonly advertised: Address | undefined;
  private listening: Address | undefined;
  private told = '';

  constructor({ listen, advertised, logger, ...options }: DirectLinkOptions) {
    this.advertised = advertised;
    const maximumStreams = streamLimit(openFilesLimit());
    const status = { leads: false, term: 0, members: [] };
    this.bus = new DirectCoordinatorBus({ ...options, logger, status, maximumStreams });
    this.server = new LinkServer(
      listen,
      (attach) => this.bus.accept(attach),
      (error) => logger.error(`a direct stream could not be accepted: ${errorMessage(error)}`, error),
      maximumStreams,
    );
  }

  /** The address for participants, as `host:port`; undefined before it listens. */
  get address(): string | undefined {
    return this.listening && formatAddress(this.advertised ?? this.listening);
  }

  /** @throws LinkBindError when the port is taken */
  async open(): Promise<void> {
    this.listening = await this.server.start();
  }

  /** Sends the status to the participants, if it has changed. */
  tell(status: CoordinatorStatus): void {
    const text = JSON.stringify(status);
    if (text === this.told) return;
    this.told = text;
    this.bus.setStatus(status);
  }

  close(): void {
    this.server.stop();
  }
}
