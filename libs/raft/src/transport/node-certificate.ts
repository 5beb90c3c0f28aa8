import { createSecureContext, type SecureContext } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { errorMessage, WITHOUT_RESUMPTION } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';
import { TransportTlsError, type TransportTls } from './grpc-transport.types.js';

/** The node of a certificate, or of a caller. */
export interface ClusterNode {
  readonly clusterName: string;
  readonly nodeId: NodeId;
}

/**
 * The name that a node's certificate must have as its one subject alternative name of this scheme:
 * `concordat://<cluster, percent-encoded>/node/<id>`. Characters that Node.js quotes when it prints names are encoded,
 * too, so that the name is always printed unchanged.
 */
export function nodeCertificateUri({ clusterName, nodeId }: ClusterNode): string {
  const encoded = encodeURIComponent(clusterName).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `concordat://${encoded}/node/${nodeId}`;
}

/** In words, with the cluster's name made safe for a log line. */
export function describeNode({ clusterName, nodeId }: ClusterNode): string {
  return `node ${nodeId} of cluster ${quote(clusterName)}`;
}

/** A stranger's text, made safe for a log line. */
export function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

/**
 * What the certificate names instead of `expected`, as a clause; undefined when it is `expected`.
 *
 * @param subjectAltName as Node.js prints it: entries like `URI:…`, those with odd characters in quotes
 */
export function certificateFault(subjectAltName: string | undefined, expected: ClusterNode): string | undefined {
  const plain = (subjectAltName ?? '').replace(/"(?:[^"\\]|\\.)*"/g, ''); // a quoted name is none of ours
  const uris = [...plain.matchAll(/(?<=^|, )URI:(concordat:[^,]*)(?=,|$)/g)].map(([, uri]) => uri);
  if (uris.length === 0) return 'the certificate names no node of a cluster';
  if (uris.length > 1) return 'the certificate names several nodes';
  return uris[0] === nodeCertificateUri(expected) ? undefined : `the certificate names ${describeUri(uris[0] ?? '')}`;
}

function describeUri(uri: string): string {
  const [, encoded, nodeId] = /^concordat:\/\/([^/]*)\/node\/([1-9]\d*)$/.exec(uri) ?? [];
  try {
    if (encoded !== undefined)
      return describeNode({ clusterName: decodeURIComponent(encoded), nodeId: Number(nodeId) });
  } catch {
    // a name with an invalid encoding is shown unchanged
  }
  return quote(uri);
}

/** For a server's or a client's context. */
export function contextOptions({ ca, cert, key }: TransportTls) {
  return { ca, cert, key, minVersion: 'TLSv1.2', ...WITHOUT_RESUMPTION } as const;
}

/**
 * Reads a node's certificates and key, and checks that they are this node's.
 *
 * @throws TransportTlsError
 */
export function loadTls(tls: TransportTls, self: ClusterNode): SecureContext {
  let secureContext: SecureContext;
  let subjectAltName: string | undefined;
  try {
    secureContext = createSecureContext(contextOptions(tls));
    ({ subjectAltName } = new X509Certificate(tls.cert));
  } catch (error) {
    throw new TransportTlsError(`certificates or key cannot be used: ${errorMessage(error)}`, { cause: error });
  }
  const fault = certificateFault(subjectAltName, self);
  if (fault !== undefined) throw new TransportTlsError(`${fault}, but this is ${describeNode(self)}`);
  return secureContext;
}
