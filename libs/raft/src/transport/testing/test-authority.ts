import { LocalAuthority, type CertificateRequest } from '@concordat/foundation/authority';
import type { TransportTls } from '../grpc-transport.types.js';
import { nodeCertificateUri, type ClusterNode } from '../node-certificate.js';

/** What a certificate shall say. */
export interface TestCertificateOptions extends ClusterNode, Omit<CertificateRequest, 'subject'> {
  /** default: true; without, the certificate does not say whose it is */
  readonly withIdentity?: boolean;
}

/** A certificate authority for tests: makes the certificates that nodes need for mutual TLS. */
export class TestAuthority {
  private constructor(private readonly authority: LocalAuthority) {}

  /** Each authority has a key of its own, whatever its name. */
  static create(name = 'test authority'): TestAuthority {
    return new TestAuthority(LocalAuthority.create(name));
  }

  /** the authority's own certificate in PEM */
  get certificate(): Buffer {
    return this.authority.certificate;
  }

  /** A node's certificate and key, and this authority's certificate to check others by. */
  issue({ withIdentity = true, uris = [], ...options }: TestCertificateOptions): TransportTls {
    const names = [...(withIdentity ? [nodeCertificateUri(options)] : []), ...uris];
    const issued = this.authority.issue({ ...options, subject: `node ${options.nodeId}`, uris: names });
    return { ...issued, ca: this.certificate };
  }
}
