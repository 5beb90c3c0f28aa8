import { createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { errorMessage } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';
import { TransportTlsError, type TransportTls } from './grpc-transport.types.js';

/** Whom a certificate, or a caller, speaks for. */
export interface ClusterNode {
  readonly clusterName: string;
  readonly nodeId: NodeId;
}

/**
 * The name that a node's certificate must carry as its one subject alternative name of this scheme:
 * `concordat://<cluster, percent-encoded>/node/<id>`. Characters that Node.js quotes when it prints names are
 * encoded, too, so that the name always reads as it was written.
 */
export function nodeCertificateUri({ clusterName, nodeId }: ClusterNode): string {
  const encoded = encodeURIComponent(clusterName).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `concordat://${encoded}/node/${nodeId}`;
}

/** In words, with the cluster's name fit for a log line. */
export function describeNode({ clusterName, nodeId }: ClusterNode): string {
  return `node ${nodeId} of cluster ${quote(clusterName)}`;
}

/** What a stranger sent, fit for a log line. */
export function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

/**
 * Whom a certificate speaks for, in words that go on as "the certificate …"; undefined when it is `expected`.
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
    // a name that is not encoded as it should be is shown as it is
  }
  return quote(uri);
}

/** Of a peer that has shown its certificate in a handshake. */
export function peerCertificateFault(
  certificate: PeerCertificate | undefined,
  expected: ClusterNode,
): string | undefined {
  return certificate ? certificateFault(certificate.subjectaltname, expected) : 'there is no certificate';
}

/**
 * Reads a node's certificates and key, and makes sure that they are this node's.
 *
 * @throws TransportTlsError
 */
export function loadTls(tls: TransportTls, self: ClusterNode): SecureContext {
  let secureContext: SecureContext;
  let subjectAltName: string | undefined;
  try {
    secureContext = createSecureContext({ ...tls, minVersion: 'TLSv1.2' });
    ({ subjectAltName } = new X509Certificate(tls.cert));
  } catch (error) {
    throw new TransportTlsError(`certificates or key cannot be used: ${errorMessage(error)}`, { cause: error });
  }
  const fault = certificateFault(subjectAltName, self);
  if (fault !== undefined) throw new TransportTlsError(`${fault}, but this is ${describeNode(self)}`);
  return secureContext;
}
