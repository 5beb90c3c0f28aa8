import { constants, X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, PeerCertificate, TLSSocket } from 'node:tls';
import { judgeChain, MAXIMUM_CHAIN_LENGTH, type CertificateFault, type ChainVerdict } from './certificate-chain.js';
import { plainSerialNumber } from './certificate-files.js';

/** By what the certificates of others are judged. */
export interface CertificateTrust {
  /** the authorities, in PEM */
  readonly ca?: string | undefined;
  /** serial numbers of certificates that count no longer, as `plainSerialNumber` writes them; default: none */
  readonly revoked?: ReadonlySet<string> | undefined;
}

/**
 * For the context of a server that asks clients for certificates: each connection makes a whole handshake. One that is
 * resumed would show no intermediate certificates, and the trust of its first one.
 */
export const WITHOUT_RESUMPTION = { secureOptions: constants.SSL_OP_NO_TICKET } as const;

const shown = new WeakMap<TLSSocket, ShownCertificate>();
const NONE: ReadonlySet<string> = new Set();
/** A certificate that did not count is not judged again within this time: its owner may ask often. */
const FAULTY_FOR_MS = 1_000;

interface Judgement {
  readonly ca: string;
  readonly verdict: ChainVerdict;
  readonly at: number;
}

/**
 * What the other end of a connection has shown in the handshake. A connection may live for months, so whoever believes
 * it asks again and again: the certificate may have ended since, may be revoked, or its authority trusted no longer. To
 * ask costs a comparison while nothing has changed.
 */
export class ShownCertificate {
  private judgement: Judgement | undefined;
  private readonly serialNumbers: readonly string[];

  /** @param chain the certificate of the other end first, then the intermediate ones that it has sent */
  constructor(readonly chain: readonly [X509Certificate, ...X509Certificate[]]) {
    this.serialNumbers = chain.map(({ serialNumber }) => plainSerialNumber(serialNumber));
  }

  /**
   * What a client has shown to this server; undefined: nothing. It says nothing of whether the handshake was satisfied.
   * It asks TLS once for each connection, because Node.js forgets the intermediate certificates when it is asked.
   */
  static ofClient(socket: TLSSocket): ShownCertificate | undefined {
    const known = shown.get(socket);
    if (known) return known;
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) return undefined;
    const chain: [X509Certificate, ...X509Certificate[]] = [certificate];
    for (let next = certificate.issuerCertificate; next; next = next.issuerCertificate) {
      if (chain.length >= MAXIMUM_CHAIN_LENGTH) break;
      if (!next.checkIssued(next)) chain.push(next); // not the authority itself
    }
    const found = new ShownCertificate(chain);
    shown.set(socket, found);
    return found;
  }

  /** What a server has shown, as `checkServerIdentity` gets it. */
  static ofServer(certificate: PeerCertificate): ShownCertificate {
    const chain: [X509Certificate, ...X509Certificate[]] = [new X509Certificate(certificate.raw)];
    let last = certificate as Partial<DetailedPeerCertificate>;
    for (let next = last.issuerCertificate; next && next !== last; last = next, next = next.issuerCertificate) {
      const issuer = new X509Certificate(next.raw);
      if (issuer.checkIssued(issuer) || chain.length >= MAXIMUM_CHAIN_LENGTH) break; // the authority itself
      chain.push(issuer);
    }
    return new ShownCertificate(chain);
  }

  /** The same of an open connection, which is asked once; undefined: it shows none, or is closed. */
  static ofServerSocket(socket: TLSSocket): ShownCertificate | undefined {
    const known = shown.get(socket);
    if (known) return known;
    const certificate = socket.getPeerCertificate(true) as DetailedPeerCertificate | null | undefined;
    if (!certificate?.raw) return undefined;
    const found = ShownCertificate.ofServer(certificate);
    shown.set(socket, found);
    return found;
  }

  get certificate(): X509Certificate {
    return this.chain[0];
  }

  /** Why it does not count now; undefined when it does. @param now in milliseconds since 1970 */
  faultBy({ ca = '', revoked = NONE }: CertificateTrust, now: number): CertificateFault | undefined {
    const place = revoked.size > 0 ? this.serialNumbers.findIndex((serial) => revoked.has(serial)) : -1;
    if (place === 0) return { kind: 'revoked', clause: 'is revoked' };
    if (place > 0) return { kind: 'revoked', clause: 'is of an intermediate authority that is revoked' };
    const { verdict } = this.judgement && holds(this.judgement, ca, now) ? this.judgement : this.judge(ca, now);
    return verdict.ok ? undefined : verdict;
  }

  private judge(ca: string, now: number): Judgement {
    this.judgement = { ca, verdict: judgeChain(this.chain, ca, now), at: now };
    return this.judgement;
  }
}

/** Whether a judgement is still right. */
function holds({ ca, verdict, at }: Judgement, authorities: string, now: number): boolean {
  if (ca !== authorities) return false;
  return verdict.ok ? verdict.endsAt > now : now >= at && now - at < FAULTY_FOR_MS;
}
