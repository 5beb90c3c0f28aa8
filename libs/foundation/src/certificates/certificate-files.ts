import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readPrivateFile } from '../private-file.js';

/** Files of one use of TLS. */
export interface CertificatePaths {
  /** certificates of the authorities that are trusted, in PEM; undefined: no certificate of another end is asked for */
  readonly ca?: string | undefined;
  /** the own certificate in PEM, followed by intermediate ones */
  readonly certificate: string;
  /** its private key in PEM, not encrypted */
  readonly key: string;
  /** serial numbers of certificates that are taken no longer, one a line in hexadecimal digits */
  readonly revoked?: string | undefined;
}

/** The content of the files, checked. */
export interface Certificates {
  /** PEM */
  readonly ca: string | undefined;
  readonly certificate: string;
  readonly key: string;
  readonly revoked: ReadonlySet<string>;
  /** when the own certificate ends, in milliseconds since 1970 */
  readonly expiresAt: number;
}

export type CertificateFile = keyof CertificatePaths;

/** Why a file is not taken. */
export interface CertificateFileFault {
  readonly file: CertificateFile;
  /** ends the sentence "it must be …" */
  readonly expected: string;
}

export type CertificatesRead =
  { readonly ok: true; readonly certificates: Certificates } | ({ readonly ok: false } & CertificateFileFault);

export interface CertificateChecks {
  /** in milliseconds since 1970 */
  readonly now: number;
  /** what else the own certificate must be: the end of "it must be …"; undefined when it is */
  readonly fault?: ((certificate: X509Certificate) => string | undefined) | undefined;
}

/**
 * Reads certificates and key, and checks that they can be used: readable, private where they must be, matching, valid
 * now.
 */
export function readCertificates(paths: CertificatePaths, checks: CertificateChecks): CertificatesRead {
  const [ca, own, revoked] = readParts(paths, checks);
  if (!ca.ok) return ca;
  if (!own.ok) return own;
  if (!revoked.ok) return revoked;
  return { ok: true, certificates: { ...ca.part, ...own.part, ...revoked.part } };
}

/**
 * The same, later. The authorities, the own certificate with its key, and the revocations are taken each by itself:
 * whose certificate has ended must still believe no other that is revoked.
 *
 * @param last what stays of a part that cannot be used
 */
export function readCertificatesAgain(
  paths: CertificatePaths,
  checks: CertificateChecks,
  last: Certificates,
): { readonly certificates: Certificates; readonly faults: readonly CertificateFileFault[] } {
  const parts = readParts(paths, checks);
  const certificates = parts.reduce<Certificates>((all, part) => (part.ok ? { ...all, ...part.part } : all), last);
  return { certificates, faults: parts.filter((part) => !part.ok) };
}

type Part<Name extends keyof Certificates> =
  { readonly ok: true; readonly part: Pick<Certificates, Name> } | ({ readonly ok: false } & CertificateFileFault);

function readParts(paths: CertificatePaths, checks: CertificateChecks) {
  return [readAuthorities(paths), readOwn(paths, checks), readRevoked(paths)] as const;
}

function readAuthorities(paths: CertificatePaths): Part<'ca'> {
  const read = readText(paths, 'ca');
  return read.ok ? { ok: true, part: { ca: read.text } } : read;
}

function readRevoked(paths: CertificatePaths): Part<'revoked'> {
  const read = readText(paths, 'revoked');
  return read.ok ? { ok: true, part: { revoked: serialNumbers(read.text ?? '')! } } : read;
}

function readOwn(paths: CertificatePaths, checks: CertificateChecks): Part<'certificate' | 'key' | 'expiresAt'> {
  const [certificate, key] = [readText(paths, 'certificate'), readText(paths, 'key')];
  if (!certificate.ok) return certificate;
  if (!key.ok) return key;
  const [certificateText, keyText] = [certificate.text ?? '', key.text ?? ''];
  const own = new X509Certificate(certificateText);
  const fault = ownFault(own, keyText, checks);
  if (fault) return { ok: false, ...fault };
  return { ok: true, part: { certificate: certificateText, key: keyText, expiresAt: Date.parse(own.validTo) } };
}

/** Undefined where there is no such file. */
function readText(
  paths: CertificatePaths,
  file: CertificateFile,
): { readonly ok: true; readonly text: string | undefined } | ({ readonly ok: false } & CertificateFileFault) {
  const path = paths[file];
  if (path === undefined) return { ok: true, text: undefined };
  const read = readPrivateFile(path, KINDS[file]);
  if (!read.ok) return { ok: false, file, expected: read.expected };
  const expected = faultOfText(file, read.text);
  return expected === undefined ? { ok: true, text: read.text } : { ok: false, file, expected };
}

/** As X.509 libraries print them: capital hexadecimal digits without leading zeros. */
export function plainSerialNumber(text: string): string {
  return text
    .replaceAll(':', '')
    .toUpperCase()
    .replace(/^0+(?=.)/, '');
}

/** Certificates can be read by everybody, but a certificate that others may write lets them in. */
const KINDS = { ca: 'trusted', certificate: 'public', key: 'secret', revoked: 'trusted' } as const;

function faultOfText(file: CertificateFile, text: string): string | undefined {
  switch (file) {
    case 'ca':
      return certificatesIn(text) ? undefined : 'the path of a file with a certificate in PEM, or several';
    case 'certificate':
      return certificatesIn(text) ? undefined : 'the path of a file with a certificate in PEM';
    case 'key':
      return isKey(text) ? undefined : 'the path of a file with a private key in PEM, without a password';
    case 'revoked':
      return serialNumbers(text)
        ? undefined
        : 'a file with serial numbers of certificates: hexadecimal digits, one a line';
  }
}

function ownFault(
  own: X509Certificate,
  key: string,
  { now, fault }: CertificateChecks,
): CertificateFileFault | undefined {
  if (!own.checkPrivateKey(createPrivateKey(key)))
    return { file: 'key', expected: 'the private key of the certificate' };
  const expected = validityFault(own, now) ?? fault?.(own);
  return expected === undefined ? undefined : { file: 'certificate', expected };
}

/** Why a certificate does not count at a moment, as the end of "it must be …"; undefined when it does. */
export function validityFault(
  { validFrom, validTo }: Pick<X509Certificate, 'validFrom' | 'validTo'>,
  now: number,
): string | undefined {
  if (Date.parse(validTo) <= now) return `a certificate that is valid now; this one ended on ${validTo}`;
  if (Date.parse(validFrom) > now) return `a certificate that is valid now; this one begins on ${validFrom}`;
  return undefined;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Every certificate of a text in PEM; undefined when it has none, or a wrong one. */
export function certificatesIn(text: string): X509Certificate[] | undefined {
  try {
    const found = text.match(PEM_CERTIFICATE)?.map((pem) => new X509Certificate(pem));
    return found;
  } catch {
    return undefined;
  }
}

function isKey(text: string): boolean {
  try {
    createPrivateKey(text);
    return true;
  } catch {
    return false;
  }
}

/** Undefined when a line is no serial number. Empty lines and those that begin with # are comments. */
function serialNumbers(text: string): ReadonlySet<string> | undefined {
  const numbers = new Set<string>();
  for (const raw of text.split('\n')) {
    const line = raw.replace(/#.*/, '').trim();
    if (line === '') continue;
    if (!/^[0-9A-Fa-f:]{1,100}$/.test(line)) return undefined;
    numbers.add(plainSerialNumber(line));
  }
  return numbers;
}
