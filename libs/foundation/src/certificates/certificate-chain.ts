import type { X509Certificate } from 'node:crypto';
import { certificatesIn } from './certificate-files.js';

/** An end certificate and the intermediate ones that lead to an authority. */
export const MAXIMUM_CHAIN_LENGTH = 4;

/**
 * Why a chain does not lead to an authority, as a clause; undefined when it does. For a certificate that comes in a
 * message; in a handshake TLS itself checks it.
 *
 * @param chain the end certificate first
 * @param authorities PEM
 * @param now in milliseconds since 1970
 */
export function chainFault(chain: readonly X509Certificate[], authorities: string, now: number): string | undefined {
  if (chain.length === 0 || chain.length > MAXIMUM_CHAIN_LENGTH) return `a chain of ${chain.length} certificates`;
  const trusted = certificatesIn(authorities) ?? [];
  for (const [index, certificate] of chain.entries()) {
    if (index > 0 && !certificate.ca) return 'an intermediate certificate that may not sign others';
    if (Date.parse(certificate.validTo) <= now || Date.parse(certificate.validFrom) > now) return 'it is not valid now';
    if (trusted.some((authority) => isIssuedBy(certificate, authority))) return undefined;
    const next = chain[index + 1];
    if (!next || !isIssuedBy(certificate, next)) return 'no authority of ours has issued it';
  }
  return 'no authority of ours has issued it';
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
