import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { silentLogger, type Logger } from '../logger.js';
import { nodeNameFault } from './certificate-names.js';
import { ShownCertificate } from './shown-certificate.js';
import { tlsFetch } from './tls-fetch.js';
import { WatchedCertificates } from './watched-certificates.js';

/** Certificates and key of an end that calls, in PEM. */
export interface TlsFiles {
  /** the authorities whose certificates are trusted */
  readonly ca: string | Buffer;
  /** the own certificate, followed by intermediate ones */
  readonly cert: string | Buffer;
  /** its private key, not encrypted */
  readonly key: string | Buffer;
}

/** The certificates of a service, or a function that is asked for each connection, so that they may change. */
export type TlsOption = TlsFiles | (() => TlsFiles);

export interface TlsFilePaths {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const watched = new WeakSet<() => TlsFiles>();

/**
 * For an option `tls`: certificates in files, which are read again when they change. New ones that cannot be used are
 * logged, and the last usable ones stay. Direct streams begin anew with new ones.
 *
 * @throws CertificateError when they cannot be used now: unreadable, expired, a key of another certificate or readable
 *   by others
 */
export function tlsFiles(paths: TlsFilePaths, logger: Logger = silentLogger): () => TlsFiles {
  const certificates = new WatchedCertificates({ use: 'coordinators', paths, logger, now: () => Date.now() });
  const files = (): TlsFiles => {
    const { ca = '', certificate, key } = certificates.current;
    return { ca, cert: certificate, key };
  };
  watched.add(files);
  return files;
}

export function filesOf(tls: TlsOption): TlsFiles {
  return typeof tls === 'function' ? tls() : tls;
}

/**
 * The files by which an open connection is judged. Those of `tlsFiles` are looked at again; another function is asked
 * for each connection and no more.
 *
 * @param opened those with which it was opened
 */
export function latestFilesOf(tls: TlsOption, opened: TlsFiles): TlsFiles {
  return typeof tls === 'function' && watched.has(tls) ? tls() : opened;
}

/**
 * Options of a connection to a coordinator, under whatever address it is reached: its certificate must name a node of
 * the cluster.
 *
 * @param nodeId which one; undefined: any
 */
export function towardsCoordinator(tls: TlsOption, cluster: string, nodeId?: number): ConnectionOptions {
  return {
    ...filesOf(tls),
    minVersion: 'TLSv1.2',
    checkServerIdentity: (host, certificate) => {
      const fault = nodeNameFault(certificate.subjectaltname, cluster, nodeId);
      if (fault === undefined) return undefined;
      const whom = nodeId === undefined ? 'no coordinator of this cluster' : `not the coordinator ${nodeId}`;
      return new Error(`the certificate of ${host} is of ${whom}: ${fault}`);
    },
  };
}

/** Why the certificate that a coordinator has shown counts no longer, as a clause about it; undefined when it does. */
export function coordinatorFault({ ca }: TlsFiles, socket: TLSSocket): string | undefined {
  return ShownCertificate.ofServerSocket(socket)?.faultBy({ ca: ca.toString() }, Date.now())?.clause;
}

/** A `fetch` to the coordinators of a cluster; see `towardsCoordinator`. */
export function coordinatorFetch(tls: TlsOption, cluster: string): typeof globalThis.fetch {
  return tlsFetch(() => towardsCoordinator(tls, cluster));
}
