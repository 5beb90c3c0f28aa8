import {
  checkServerIdentity,
  createSecureContext,
  type ConnectionOptions,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { nodeNameFault, ShownCertificate, WatchedCertificates, type Logger } from '@concordat/foundation';
import { wallTime } from './auth/wall-time.js';
import type { Config } from './config.js';
import { ownCertificateFault } from './tls-variables.js';

export type CertificatesConfig = Pick<Config, 'nodeId' | 'clusterName' | 'raftTls' | 'tls' | 'kafkaSecurity'>;

/** No older version of TLS is spoken. */
export const MINIMUM_TLS = 'TLSv1.2';

/** The certificates of a node, by their use. They change when their files do. */
export class NodeCertificates {
  /** of the REST interface and the direct streams; undefined: plain text */
  readonly http: WatchedCertificates | undefined;
  /** of the links between the nodes; undefined: plain text */
  readonly raft: WatchedCertificates | undefined;
  /** that the brokers are shown, watched for its end: their client reads the files itself; undefined: none */
  readonly kafka: WatchedCertificates | undefined;
  private readonly refused = new Map<string, number>();
  private context: SecureContext | undefined;

  /** @throws CertificateError */
  constructor(
    private readonly config: CertificatesConfig,
    logger: Logger,
  ) {
    const { tls, raftTls, kafkaSecurity } = config;
    const fault = ownCertificateFault(config);
    const common = { logger, now: wallTime };
    if (raftTls) this.raft = new WatchedCertificates({ ...common, use: 'raft', paths: raftTls.paths, fault });
    const { certificate, key } = kafkaSecurity?.tls ?? {};
    if (certificate !== undefined && key !== undefined) {
      this.kafka = new WatchedCertificates({ ...common, use: 'kafka', paths: { certificate, key } });
    }
    if (tls) {
      const named = tls.paths.ca === undefined ? {} : { fault };
      this.http = new WatchedCertificates({ ...common, use: 'http', paths: tls.paths, ...named });
      this.http.onChange(() => (this.context = undefined));
    }
  }

  /** In use. */
  get all(): readonly WatchedCertificates[] {
    return [this.http, this.raft, this.kafka].flatMap((certificates) => certificates ?? []);
  }

  /** Connections that were refused for TLS, by use. */
  get refusedConnections(): ReadonlyMap<string, number> {
    return this.refused;
  }

  countRefused(use: 'http' | 'direct'): void {
    this.refused.set(use, (this.refused.get(use) ?? 0) + 1);
  }

  /**
   * For a connection to the REST interface of another node. With an authority of clients it must be a node of this
   * cluster, under whatever address it is reached; without one its certificate must be of the host that is called.
   */
  toNodes(): ConnectionOptions {
    const { http, config } = this;
    if (!http) return {};
    const { ca, certificate, key } = http.current;
    this.context ??= createSecureContext({ ca, cert: certificate, key, minVersion: MINIMUM_TLS });
    const checkNode: NonNullable<ConnectionOptions['checkServerIdentity']> = (_host, shown) => {
      const fault = http.faultOf(ShownCertificate.ofServer(shown));
      const text = fault ? `it ${fault.clause}` : nodeNameFault(shown.subjectaltname, config.clusterName);
      return text === undefined ? undefined : new Error(`the certificate is of no node of this cluster: ${text}`);
    };
    return {
      secureContext: this.context,
      checkServerIdentity: ca === undefined ? checkServerIdentity : checkNode,
    };
  }

  /** Whether what a node has shown in `toNodes` counts still. */
  isTrusted(node: TLSSocket): boolean {
    const shown = this.http?.current.ca === undefined ? undefined : ShownCertificate.ofServerSocket(node);
    return !shown || this.http?.faultOf(shown) === undefined;
  }

  stop(): void {
    for (const certificates of this.all) certificates.stop();
  }
}

/** Why the certificate of a client is not taken, as a clause; undefined when it is. */
export function clientFault(socket: TLSSocket, certificates: WatchedCertificates): string | undefined {
  const shown = ShownCertificate.ofClient(socket);
  if (!shown) return 'it shows no certificate';
  if (!socket.authorized) return `its certificate is not trusted: ${String(socket.authorizationError)}`;
  const fault = certificates.faultOf(shown);
  return fault && `its certificate ${fault.clause}`;
}
