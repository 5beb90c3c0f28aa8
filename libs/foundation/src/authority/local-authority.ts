import { createPrivateKey, generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
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
export interface CertificateRequest {
  /** its common name, for people */
  readonly subject: string;
  /** host names and IP addresses; default: `localhost` and 127.0.0.1 */
  readonly hosts?: readonly string[];
  /** further names, such as those of `certificateUri`; default: none */
  readonly uris?: readonly string[];
  /** default: the end of 2119 */
  readonly notAfter?: Date;
}

/** A certificate and its private key, both in PEM, the key in PKCS #8. */
export interface IssuedCertificate {
  readonly cert: Buffer;
  readonly key: Buffer;
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
 * A certificate authority for tests and for the local system: makes certificates for mutual TLS, X.509 v3 (RFC 5280)
 * with keys on the curve P-256, on the spot.
 *
 * Not for production: it signs for everybody who can call it, its key has no password, and it keeps no list of what it
 * has issued.
 */
export class LocalAuthority {
  private constructor(
    private readonly name: string,
    private readonly privateKey: KeyObject,
    /** the authority's own certificate in PEM */
    readonly certificate: Buffer,
  ) {}

  /** Each authority has a key of its own. Two that are trusted at once need different names. */
  static create(name: string, notAfter = latest): LocalAuthority {
    return LocalAuthority.of(name, { name }, notAfter);
  }

  /** @param issuer without a key: the authority itself */
  private static of(
    name: string,
    issuer: { readonly name: string; readonly key?: KeyObject },
    notAfter: Date,
  ): LocalAuthority {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const extensions = [
      extension(oids.basicConstraints, true, sequence(boolean(true))),
      extension(oids.keyUsage, true, bitString(Uint8Array.of(0b0000_0100), 2)), // may sign certificates
    ];
    const fields = { issuer: issuer.name, subject: name, publicKey, notAfter, extensions };
    return new LocalAuthority(name, privateKey, certificateOf(fields, issuer.key ?? privateKey));
  }

  /** The authority whose certificate and key (`key`) were kept. @throws when one of them is none, or not of the other */
  static restore(certificate: Buffer, key: Buffer): LocalAuthority {
    const [own, privateKey] = [new X509Certificate(certificate), createPrivateKey(key)];
    const [, name] = /^CN=(.+)$/m.exec(own.subject) ?? [];
    if (name === undefined || !own.checkPrivateKey(privateKey))
      throw new TypeError('the key is not of the certificate');
    return new LocalAuthority(name, privateKey, certificate);
  }

  /** The authority's private key in PEM, to be kept where nobody else can read it. */
  get key(): Buffer {
    return pemOf(this.privateKey);
  }

  /** An intermediate authority: whoever trusts this one trusts what it issues, if its certificate comes along. */
  issueAuthority(name: string, notAfter = latest): LocalAuthority {
    return LocalAuthority.of(name, { name: this.name, key: this.privateKey }, notAfter);
  }

  /** A new certificate with a new key, for servers and clients. */
  issue({
    subject,
    hosts = ['localhost', '127.0.0.1'],
    uris = [],
    notAfter = latest,
  }: CertificateRequest): IssuedCertificate {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const names = [...hosts.map(hostName), ...uris.map((uri) => tagged(0x86, Buffer.from(uri)))];
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
    const fields = { issuer: this.name, subject, publicKey, notAfter, extensions };
    return { cert: certificateOf(fields, this.privateKey), key: pemOf(privateKey) };
  }
}

function pemOf(key: KeyObject): Buffer {
  return Buffer.from(key.export({ type: 'pkcs8', format: 'pem' }));
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
