import type { X509Certificate } from 'node:crypto';
import { certificatesIn } from './certificate-files.js';

/** An end certificate and the intermediate ones that lead to an authority. */
export const MAXIMUM_CHAIN_LENGTH = 8;

/** Why a certificate does not count, or counts no longer. */
export interface CertificateFault {
  readonly kind: 'untrusted' | 'ended' | 'revoked';
  /** what is said of the certificate: `is revoked` */
  readonly clause: string;
}

export type ChainVerdict =
  /** `endsAt`: when the first certificate on the way to the authority ends, in milliseconds since 1970 */
  { readonly ok: true; readonly endsAt: number } | ({ readonly ok: false } & CertificateFault);

const NO_AUTHORITY: ChainVerdict = {
  ok: false,
  kind: 'untrusted',
  clause: 'is of no authority that is trusted here',
};

/**
 * Whether a chain leads to an authority now. In a handshake TLS itself checks it; this is for a certificate that comes
 * in a message, and for later: the authorities may be others by then, and certificates end.
 *
 * @param chain the end certificate first; the others in any order
 * @param authorities PEM
 * @param now in milliseconds since 1970
 */
export function judgeChain(chain: readonly X509Certificate[], authorities: string, now: number): ChainVerdict {
  const [own, ...others] = chain;
  if (!own || chain.length > MAXIMUM_CHAIN_LENGTH) {
    return { ok: false, kind: 'untrusted', clause: `comes in a chain of ${chain.length} certificates` };
  }
  return judge(own, others, { trusted: certificatesIn(authorities) ?? [], now }, 'has');
}

interface Trust {
  readonly trusted: readonly X509Certificate[];
  readonly now: number;
}

/** Of several ways to an authority the one that lasts longest. @param what begins the clause about its time */
function judge(
  certificate: X509Certificate,
  others: readonly X509Certificate[],
  trust: Trust,
  what: string,
): ChainVerdict {
  const [from, until] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (until <= trust.now) return { ok: false, kind: 'ended', clause: `${what} ended on ${certificate.validTo}` };
  if (from > trust.now) {
    return { ok: false, kind: 'untrusted', clause: `${what} not begun before ${certificate.validFrom}` };
  }
  let best = NO_AUTHORITY;
  for (const authority of trust.trusted) {
    if (isIssuedBy(certificate, authority)) best = better(best, judgeAuthority(authority, trust));
  }
  for (const issuer of others) {
    if (!issuer.ca || !isIssuedBy(certificate, issuer)) continue;
    const rest = others.filter((other) => other !== issuer);
    best = better(best, judge(issuer, rest, trust, 'is of an intermediate authority that has'));
  }
  return best.ok ? { ok: true, endsAt: Math.min(until, best.endsAt) } : best;
}

function judgeAuthority({ validFrom, validTo }: X509Certificate, { now }: Trust): ChainVerdict {
  const endsAt = Date.parse(validTo);
  if (endsAt <= now) return { ok: false, kind: 'ended', clause: `is of an authority that has ended on ${validTo}` };
  if (Date.parse(validFrom) > now) return NO_AUTHORITY;
  return { ok: true, endsAt };
}

function better(one: ChainVerdict, other: ChainVerdict): ChainVerdict {
  if (one.ok && other.ok) return other.endsAt > one.endsAt ? other : one;
  if (one.ok || other.ok) return one.ok ? one : other;
  return one === NO_AUTHORITY ? other : one;
}

/** Of certificates that a message has brought, anything may be wrong. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}
