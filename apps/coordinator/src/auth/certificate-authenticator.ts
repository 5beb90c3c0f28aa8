import type { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import {
  certificatesIn,
  chainFault,
  MAXIMUM_CHAIN_LENGTH,
  namesInCluster,
  type WatchedCertificates,
} from '@concordat/foundation';
import type { Authenticator, Presented } from './authenticator.js';
import type { Principal } from './credentials/principal.js';
import { formatGrants, parseGrants } from './credentials/roles.js';
import { CredentialRefusedError, type RefusalReason } from './errors.js';

/** In a request that a node passes on: the certificate of its sender, which its own connection does not show. */
export const FORWARDED_CERTIFICATE_HEADER = 'x-concordat-forwarded-certificate';
const MAXIMUM_FORWARDED_LENGTH = 8_192;
const MAXIMUM_CACHED = 1_000;

export interface CertificateAuthenticatorOptions {
  readonly clusterName: string;
  readonly certificates: Pick<WatchedCertificates, 'current' | 'isRevoked' | 'onChange'>;
  /** in milliseconds since 1970 */
  readonly now: () => number;
}

/**
 * The certificate of a client says who it is: its names `concordat://<cluster>/<role>/<name>` are its roles. A token in
 * the request wins. A node of the cluster may hand over the certificate of a client; it is verified again.
 */
export class CertificateAuthenticator implements Authenticator {
  private ofSocket = new WeakMap<Socket, Principal>();
  /** by the header, the oldest first */
  private readonly forwarded = new Map<string, Principal>();

  constructor(private readonly options: CertificateAuthenticatorOptions) {
    options.certificates.onChange(() => {
      this.ofSocket = new WeakMap();
      this.forwarded.clear();
    });
  }

  authenticate({ bearer, socket, rawHeaders }: Presented): Principal | undefined {
    if (bearer !== undefined || !(socket instanceof TLSSocket)) return undefined;
    const principal = this.ofConnection(socket);
    if (!principal) return undefined;
    const header = onlyHeader(rawHeaders, FORWARDED_CERTIFICATE_HEADER);
    if (header === undefined || !principal.roles.has('node')) return this.stillValid(principal);
    return this.stillValid(this.ofForwarded(header));
  }

  private ofConnection(socket: TLSSocket): Principal | undefined {
    const known = this.ofSocket.get(socket);
    if (known) return known;
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) return undefined;
    if (!socket.authorized) {
      const error = String(socket.authorizationError);
      throw refused(error === 'CERT_HAS_EXPIRED' ? 'certificate-expired' : 'certificate-untrusted', error);
    }
    const principal = this.principalOf([certificate, ...intermediatesOf(certificate)]);
    this.ofSocket.set(socket, principal);
    return principal;
  }

  private ofForwarded(header: string): Principal {
    const known = this.forwarded.get(header);
    if (known) return known;
    const chain = parseChain(header);
    if (!chain) throw refused('certificate-untrusted', 'a node has passed on what is no certificate');
    const fault = chainFault(chain, this.options.certificates.current.ca ?? '', this.options.now());
    if (fault !== undefined) throw refused('certificate-untrusted', `a node has passed it on, but ${fault}`);
    const principal = this.principalOf(chain);
    this.forwarded.set(header, principal);
    if (this.forwarded.size > MAXIMUM_CACHED) {
      const [oldest] = this.forwarded.keys();
      this.forwarded.delete(oldest!);
    }
    return principal;
  }

  private principalOf(chain: readonly X509Certificate[]): Principal {
    const [certificate] = chain;
    const { clusterName, certificates } = this.options;
    if (certificates.isRevoked(certificate!)) {
      throw refused('certificate-revoked', `serial number ${certificate!.serialNumber}`);
    }
    const names = namesInCluster(certificate!.subjectAltName, clusterName);
    if (!names.ok) throw refused('certificate-name', names.fault);
    const { name, roles } = names;
    const { grants, unknown } = parseGrants(
      roles.map((role) => (role === 'participant' ? `participant:${name}` : role)),
    );
    if (unknown.length > 0) throw refused('certificate-name', `there is no role ${unknown[0]!}`);
    return {
      // a node cannot be taken for a client of the same name
      id: `certificate:${grants.roles.has('node') ? `node/${name}` : name}`,
      ...grants,
      expiresAt: Date.parse(certificate!.validTo),
      certificate: formatChain(chain),
    };
  }

  private stillValid(principal: Principal): Principal {
    if ((principal.expiresAt ?? Infinity) > this.options.now()) return principal;
    throw refused('certificate-expired', `${principal.id} (${formatGrants(principal).join(', ')})`);
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

function intermediatesOf(certificate: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let next = certificate.issuerCertificate; next; next = next.issuerCertificate) {
    if (next.fingerprint256 === (chain.at(-1) ?? certificate).fingerprint256) break; // the authority itself
    if (next.checkIssued(next) || chain.length >= MAXIMUM_CHAIN_LENGTH - 1) break;
    chain.push(next);
  }
  return chain;
}

function formatChain(chain: readonly X509Certificate[]): string {
  return chain.map(({ raw }) => raw.toString('base64')).join(',');
}

function parseChain(header: string): X509Certificate[] | undefined {
  if (header.length > MAXIMUM_FORWARDED_LENGTH) return undefined;
  const pem = header
    .split(',')
    .map((encoded) => `-----BEGIN CERTIFICATE-----\n${encoded}\n-----END CERTIFICATE-----`)
    .join('\n');
  return certificatesIn(pem);
}
