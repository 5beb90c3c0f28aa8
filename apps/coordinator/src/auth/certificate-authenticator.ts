import type { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import {
  certificatesIn,
  namesInCluster,
  ShownCertificate,
  type CertificateFault,
  type WatchedCertificates,
} from '@concordat/foundation';
import type { Authenticator, Presented } from './authenticator.js';
import type { Principal } from './credentials/principal.js';
import { parseGrants } from './credentials/roles.js';
import { CredentialRefusedError, type RefusalReason } from './errors.js';

/** In a request that a node passes on: the certificate of its sender, which its own connection does not show. */
export const FORWARDED_CERTIFICATE_HEADER = 'x-concordat-forwarded-certificate';
const MAXIMUM_FORWARDED_LENGTH = 8_192;
const MAXIMUM_CACHED = 1_000;

const REASONS: Readonly<Record<CertificateFault['kind'], RefusalReason>> = {
  untrusted: 'certificate-untrusted',
  ended: 'certificate-expired',
  revoked: 'certificate-revoked',
};

export interface CertificateAuthenticatorOptions {
  readonly clusterName: string;
  readonly certificates: Pick<WatchedCertificates, 'faultOf'>;
}

/** Who a certificate names. */
interface Known {
  readonly certificate: ShownCertificate;
  readonly principal: Principal;
}

/**
 * The certificate of a client says who it is: its names `concordat://<cluster>/<role>/<name>` are its roles. A token in
 * the request wins. A node of the cluster may hand over the certificate of a client; it is verified again.
 *
 * The handshake of a connection may be long ago. So the certificate is judged with each request by what is trusted then.
 */
export class CertificateAuthenticator implements Authenticator {
  private readonly ofSocket = new WeakMap<Socket, Known>();
  /** by the header, the oldest first */
  private readonly forwarded = new Map<string, Known>();

  constructor(private readonly options: CertificateAuthenticatorOptions) {}

  authenticate({ bearer, socket, rawHeaders }: Presented): Principal | undefined {
    if (bearer !== undefined || !(socket instanceof TLSSocket)) return undefined;
    const known = this.ofConnection(socket);
    if (!known) return undefined;
    this.check(known.certificate);
    const { principal } = known;
    const header = onlyHeader(rawHeaders, FORWARDED_CERTIFICATE_HEADER);
    if (header === undefined || !principal.roles.has('node')) return principal;
    return this.ofForwarded(header);
  }

  private ofConnection(socket: TLSSocket): Known | undefined {
    const known = this.ofSocket.get(socket);
    if (known) return known;
    const certificate = ShownCertificate.ofClient(socket);
    if (!certificate) return undefined;
    if (!socket.authorized) {
      const error = String(socket.authorizationError);
      throw refused(error === 'CERT_HAS_EXPIRED' ? 'certificate-expired' : 'certificate-untrusted', error);
    }
    const found = this.knownBy(certificate);
    this.ofSocket.set(socket, found);
    return found;
  }

  private ofForwarded(header: string): Principal {
    const known = this.forwarded.get(header);
    const shown = known?.certificate ?? parseChain(header);
    if (!shown) throw refused('certificate-untrusted', 'a node has passed on what is no certificate');
    this.check(shown, 'a node has passed it on: ');
    if (known) return known.principal;
    const found = this.knownBy(shown);
    this.forwarded.set(header, found);
    if (this.forwarded.size > MAXIMUM_CACHED) {
      const [oldest] = this.forwarded.keys();
      this.forwarded.delete(oldest!);
    }
    return found.principal;
  }

  private knownBy(shown: ShownCertificate): Known {
    const { clusterName, certificates } = this.options;
    const names = namesInCluster(shown.certificate.subjectAltName, clusterName);
    if (!names.ok) throw refused('certificate-name', names.fault);
    const { name, roles } = names;
    const { grants, unknown } = parseGrants(
      roles.map((role) => (role === 'participant' ? `participant:${name}` : role)),
    );
    if (unknown.length > 0) throw refused('certificate-name', `there is no role ${unknown[0]!}`);
    const principal: Principal = {
      // a node cannot be taken for a client of the same name
      id: `certificate:${grants.roles.has('node') ? `node/${name}` : name}`,
      ...grants,
      expiresAt: Date.parse(shown.certificate.validTo),
      counts: () => certificates.faultOf(shown) === undefined,
      certificate: formatChain(shown.chain),
    };
    return { certificate: shown, principal };
  }

  /** @throws CredentialRefusedError when it does not count now */
  private check(shown: ShownCertificate, how = ''): void {
    const fault = this.options.certificates.faultOf(shown);
    if (!fault) return;
    const { serialNumber } = shown.certificate;
    throw refused(REASONS[fault.kind], `${how}the certificate with the serial number ${serialNumber} ${fault.clause}`);
  }
}

function refused(reason: RefusalReason, note: string): CredentialRefusedError {
  return new CredentialRefusedError(reason, note);
}

function onlyHeader(rawHeaders: readonly string[], wanted: string): string | undefined {
  let found: string | undefined;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!;
    if (name.length !== wanted.length || name.toLowerCase() !== wanted) continue;
    if (found !== undefined) throw refused('ambiguous', `several headers ${wanted}`);
    found = rawHeaders[index + 1]!;
  }
  return found;
}

function formatChain(chain: readonly X509Certificate[]): string {
  return chain.map(({ raw }) => raw.toString('base64')).join(',');
}

function parseChain(header: string): ShownCertificate | undefined {
  if (header.length > MAXIMUM_FORWARDED_LENGTH) return undefined;
  const pem = header
    .split(',')
    .map((encoded) => `-----BEGIN CERTIFICATE-----\n${encoded}\n-----END CERTIFICATE-----`)
    .join('\n');
  const [own, ...others] = certificatesIn(pem) ?? [];
  return own && new ShownCertificate([own, ...others]);
}
