import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { nodeCertificateUri } from '@concordat/raft';

export interface RaftTls {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** A file that was read and is valid by itself. */
export interface PemFile {
  readonly kind: 'authority' | 'certificate' | 'key';
  readonly text: string;
}

/** Reads a certificate or a private key; undefined when the file cannot be read or holds something else. */
export function readPem(kind: PemFile['kind'], path: string): PemFile | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    if (kind === 'key') createPrivateKey(text);
    else new X509Certificate(text);
    return { kind, text };
  } catch {
    return undefined;
  }
}

/** A mismatch between valid files, and what would be right. */
export interface TlsFault {
  readonly file: 'certificate' | 'key';
  readonly expected: string;
}

/**
 * Checks that the key belongs to the certificate and that the certificate names this node. Other nodes refuse a
 * certificate that names another.
 */
export function tlsFault(
  { certificate, key }: Readonly<Record<'ca' | 'certificate' | 'key', PemFile>>,
  { clusterName, nodeId }: { readonly clusterName: string; readonly nodeId: number },
): TlsFault | undefined {
  const parsed = new X509Certificate(certificate.text);
  if (!parsed.checkPrivateKey(createPrivateKey(key.text))) {
    return { file: 'key', expected: 'the private key of the certificate in CONCORDAT_RAFT_TLS_CERT' };
  }
  const identity = nodeCertificateUri({ clusterName, nodeId });
  const names = (parsed.subjectAltName ?? '').split(', ');
  if (names.includes(`URI:${identity}`)) return undefined;
  return {
    file: 'certificate',
    expected: `a certificate of this node: with the URI ${identity} among its names (SAN)`,
  };
}
