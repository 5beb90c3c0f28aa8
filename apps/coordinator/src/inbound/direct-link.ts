import {
  errorMessage,
  formatAddress,
  openFilesLimit,
  streamLimit,
  type Address,
  namesInCluster,
  type Clock,
  type Logger,
} from '@concordat/foundation';
import {
  DirectCoordinatorBus,
  LinkServer,
  type CoordinatorStatus,
  type LinkServerTls,
  type StreamIdentity,
} from '@concordat/messaging';
import { clientFault, type NodeCertificates } from '../node-certificates.js';

export interface DirectLinkOptions {
  readonly nodeId: number;
  readonly cluster: string;
  /** port 0: one that the system chooses */
  readonly listen: Address;
  /** told to participants instead of the listening address */
  readonly advertised?: Address | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** default: plain text */
  readonly tls?: DirectLinkTls | undefined;
  /** told of each stream that is refused */
  readonly onRefused?: (refusal: RefusedStream) => void;
  /** told of each message that a participant may not say */
  readonly onDisbelieved?: (participant: string, complaint: string) => void;
}

export interface DirectLinkTls {
  readonly certificates: NodeCertificates;
  /** whether streams in plain text are taken, too */
  readonly acceptsPlain: boolean;
}

/** Whom a direct stream was refused, and why. */
export interface RefusedStream {
  /** whom it says it is of; undefined: nobody has said anything yet */
  readonly participant: string | undefined;
  /** `host:port`; undefined where only the hello was refused */
  readonly address: string | undefined;
  readonly reason: string;
}

/** Refused connections are logged at most so often; all are counted. */
const LOG_EACH_MS = 1_000;

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

  constructor({ listen, advertised, logger, tls, onRefused = () => undefined, ...options }: DirectLinkOptions) {
    this.advertised = advertised;
    const maximumStreams = streamLimit(openFilesLimit());
    const status = { leads: false, term: 0, members: [] };
    this.bus = new DirectCoordinatorBus({
      ...options,
      logger,
      status,
      maximumStreams,
      onRefused: (participant, { code, detail }) => {
        if (code === 'NOT_YOU') tls?.certificates.countRefused('direct');
        onRefused({ participant, address: undefined, reason: `${code}: ${detail}` });
      },
    });
    this.server = new LinkServer(
      listen,
      (attach, identity) => this.bus.accept(attach, identity),
      (error) => logger.error(`a direct stream could not be accepted: ${errorMessage(error)}`, error),
      maximumStreams,
      tls && serverTls(tls, options.cluster, logger, onRefused),
    );
    tls?.certificates.http?.onReview(() => this.bus.checkIdentities());
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

/** Participants are known by the names in their certificates. */
function serverTls(
  { certificates: node, acceptsPlain }: DirectLinkTls,
  cluster: string,
  logger: Logger,
  onRefused: (refusal: RefusedStream) => void,
): LinkServerTls {
  const certificates = node.http!;
  let loggedAt = -Infinity;
  return {
    files: () => {
      const { ca = '', certificate, key } = certificates.current;
      return { ca, cert: certificate, key };
    },
    onChange: (listener) => certificates.onChange(listener),
    acceptsPlain,
    identify: (socket): StreamIdentity | string => {
      const fault = clientFault(socket, certificates);
      if (fault !== undefined) return fault;
      const certificate = socket.getPeerX509Certificate()!;
      const names = namesInCluster(certificate.subjectAltName, cluster);
      if (!names.ok) return `its certificate is of nobody here: ${names.fault}`;
      return {
        isSecure: true,
        participants: names.roles.includes('participant') ? [names.name] : [],
        fault: () => clientFault(socket, certificates),
      };
    },
    onRefused: (address, reason) => {
      node.countRefused('direct');
      onRefused({ participant: undefined, address, reason });
      if (performance.now() - loggedAt < LOG_EACH_MS) return;
      loggedAt = performance.now();
      logger.warn(`refused a direct stream from ${address}: ${reason}`);
    },
  };
}
