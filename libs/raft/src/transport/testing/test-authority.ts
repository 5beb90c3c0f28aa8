import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import type { TransportTls } from '../grpc-transport.types.js';
import { nodeCertificateUri, type ClusterNode } from '../node-certificate.js';
import {
  bitString,
  boolean,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tagged,
  time,
  utf8String,
} from './der.js';

/** What a certificate shall say. */
export interface TestCertificateOptions extends ClusterNode {
  /** host names and IP addresses; default: `localhost` and 127.0.0.1 */
  readonly hosts?: readonly string[];
  /** default: the end of 2119 */
  readonly notAfter?: Date;
  /** further names as URIs; default: none */
  readonly uris?: readonly string[];
  /** default: true; without, the certificate does not say whose it is */
  readonly withIdentity?: boolean;
}

const notBefore = new Date('2020-01-01T00:00:00Z');
const latest = new Date('2119-12-31T00:00:00Z');

const oids = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/**
 * A certificate authority for tests: makes the certificates that nodes need for mutual TLS, with keys that are made
 * on the spot and never leave the memory. Certificates are X.509 v3 (RFC 5280) with keys on the curve P-256.
 *
 * Not for production: nothing is revoked, and the key is not protected.
 */
export class TestAuthority {
  private constructor(
    private readonly name: string,
    private readonly key: KeyObject,
    /** the authority's own certificate in PEM */
    readonly certificate: Buffer,
  ) {}

  /** Each authority has a key of its own, whatever its name. */
  static create(name = 'test authority'): TestAuthority {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const extensions = [
      extension(oids.basicConstraints, true, sequence(boolean(true))),
      extension(oids.keyUsage, true, bitString(Uint8Array.of(0b0000_0100), 2)), // may sign certificates
    ];
    const fields = { issuer: name, subject: name, publicKey, notAfter: latest, extensions };
    return new TestAuthority(name, privateKey, certificateOf(fields, privateKey));
  }

  /** A node's certificate and key, and this authority's certificate to check others by. */
  issue(options: TestCertificateOptions): TransportTls {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { hosts = ['localhost', '127.0.0.1'], uris = [], withIdentity = true, notAfter = latest } = options;
    const names = [
      ...hosts.map(hostName),
      ...[...(withIdentity ? [nodeCertificateUri(options)] : []), ...uris].map((uri) => tagged(0x86, Buffer.from(uri))),
    ];
    const extensions = [
      extension(oids.basicConstraints, true, sequence()),
      extension(oids.keyUsage, true, bitString(Uint8Array.of(0b1000_0000), 7)), // may sign handshakes
      extension(
        oids.extendedKeyUsage,
        false,
        sequence(objectIdentifier(oids.serverAuth), objectIdentifier(oids.clientAuth)),
      ),
      ...(names.length > 0 ? [extension(oids.subjectAltName, false, sequence(...names))] : []),
    ];
    const fields = { issuer: this.name, subject: `node ${options.nodeId}`, publicKey, notAfter, extensions };
    return {
      ca: this.certificate,
      cert: certificateOf(fields, this.key),
      key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    };
  }
}

interface CertificateFields {
  readonly issuer: string;
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly notAfter: Date;
  readonly extensions: readonly Buffer[];
}

/** Signs the fields (RFC 5280, section 4.1) and gives the whole in PEM. */
function certificateOf(fields: CertificateFields, issuerKey: KeyObject): Buffer {
  const { issuer, subject, publicKey, notAfter, extensions } = fields;
  const algorithm = sequence(objectIdentifier(oids.ecdsaWithSha256));
  const toBeSigned = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))), // version 3
    integer(randomBytes(16)),
    algorithm,
    distinguishedName(issuer),
    sequence(time(notBefore), time(notAfter)),
    distinguishedName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', toBeSigned, issuerKey);
  const base64 = sequence(toBeSigned, algorithm, bitString(signature)).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return Buffer.from(['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n'));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(set(sequence(objectIdentifier(oids.commonName), utf8String(commonName))));
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), ...(critical ? [boolean(true)] : []), octetString(value));
}

function hostName(host: string): Buffer {
  switch (isIP(host)) {
    case 4:
      return tagged(0x87, Uint8Array.from(host.split('.').map(Number)));
    case 6:
      return tagged(0x87, ipv6Bytes(host));
    default:
      return tagged(0x82, Buffer.from(host));
  }
}

/** The sixteen bytes of an address in groups of hexadecimal digits, at most one run of zeros left out. */
function ipv6Bytes(address: string): Buffer {
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return Buffer.from([...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
