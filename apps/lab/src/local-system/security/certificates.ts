import { randomBytes, X509Certificate } from 'node:crypto';
import {
  certificateUri,
  judgeChain,
  plainSerialNumber,
  type CertificateRole,
  type TlsFilePaths,
} from '@concordat/foundation';
import { LocalAuthority, type IssuedCertificate } from '@concordat/foundation/authority';
import type { SecretFiles } from './secret-files.js';

/** Whom a certificate names, and with which roles. */
export interface CertificateOwner {
  /** for a node its id, for a participant its name */
  readonly name: string;
  readonly roles: readonly CertificateRole[];
}

export const nodeOwner = (nodeId: number): CertificateOwner => ({ name: String(nodeId), roles: ['node'] });
/** A service that only takes part, such as a bank. */
export const participantOwner = (name: string): CertificateOwner => ({ name, roles: ['participant'] });
/** A service that also begins transactions, such as those of the shop. */
export const serviceOwner = (name: string): CertificateOwner => ({ name, roles: ['client', 'participant'] });

export interface IssueOptions {
  /** default: the end of 2119 */
  readonly notAfter?: Date;
  /** default: the cluster of the certificates */
  readonly clusterName?: string;
  /** by an authority that nobody trusts; default: by that of the system */
  readonly isForged?: true;
}

/** The authorities that everybody trusts. */
const CA = 'ca.pem';
/** The authority that signs now. */
const [AUTHORITY, AUTHORITY_KEY] = ['authority.pem', 'authority.key'] as const;
const REVOKED = 'revoked';

/**
 * The authority of a secured system, and the certificates of its coordinators and services, in files that the
 * processes read again when they change.
 */
export class LocalCertificates {
  constructor(
    private readonly files: SecretFiles,
    private readonly clusterName: string,
  ) {}

  /** Makes the authority and the certificates that do not exist yet, or that nobody trusts any more. */
  ensure(owners: readonly CertificateOwner[]): void {
    if (!this.files.has(CA)) this.writeAuthority(newAuthority(), []);
    this.files.ensure(REVOKED, () => '# serial numbers of certificates, one a line\n');
    for (const owner of owners) if (!this.isTrusted(owner)) this.replace(owner);
  }

  /** The file with the authorities that everybody trusts. */
  get caFile(): string {
    return this.files.path(CA);
  }

  /** The file with the serial numbers of certificates that count no longer. */
  get revokedFile(): string {
    return this.files.path(REVOKED);
  }

  paths(owner: CertificateOwner): TlsFilePaths {
    const [certificate, key] = [this.fileOf(owner, 'pem'), this.fileOf(owner, 'key')];
    return { ca: this.caFile, certificate: this.files.path(certificate), key: this.files.path(key) };
  }

  /** A certificate that is written nowhere: for callers that should get in, and for those that should not. */
  issue(owner: CertificateOwner, options: IssueOptions = {}): IssuedCertificate {
    const { clusterName = this.clusterName, notAfter, isForged } = options;
    const { name, roles } = owner;
    const uris = roles.map((role) => certificateUri({ clusterName, role, name }));
    const authority = isForged ? LocalAuthority.create('somebody else') : this.authority();
    return authority.issue({ subject: subjectOf(owner), uris, ...(notAfter && { notAfter }) });
  }

  /** A new certificate and key in place of the old ones; no process needs a restart. */
  replace(owner: CertificateOwner, options: IssueOptions = {}): void {
    const { cert, key } = this.issue(owner, options);
    this.files.write(this.fileOf(owner, 'key'), key);
    this.files.write(this.fileOf(owner, 'pem'), cert);
  }

  /** Withdraws the certificate that an owner has now. An owner that goes on working needs another one before. */
  revoke(certificate: string | Buffer): void {
    const { serialNumber } = new X509Certificate(certificate);
    this.files.write(REVOKED, `${this.files.text(REVOKED)}\n${plainSerialNumber(serialNumber)}\n`);
  }

  /** From now on a new authority signs, and everybody trusts it beside the old one. */
  addAuthority(): void {
    this.writeAuthority(newAuthority(), [this.files.read(CA)]);
  }

  /** From now on only the authority is trusted that signs now. */
  dropOldAuthorities(): void {
    this.files.write(CA, this.files.read(AUTHORITY));
  }

  private isTrusted(owner: CertificateOwner): boolean {
    const file = this.fileOf(owner, 'pem');
    if (!this.files.has(file)) return false;
    return judgeChain([new X509Certificate(this.files.read(file))], this.files.text(CA), Date.now()).ok;
  }

  private authority(): LocalAuthority {
    return LocalAuthority.restore(this.files.read(AUTHORITY), this.files.read(AUTHORITY_KEY));
  }

  private writeAuthority(authority: LocalAuthority, trustedToo: readonly Buffer[]): void {
    this.files.write(AUTHORITY_KEY, authority.key);
    this.files.write(AUTHORITY, authority.certificate);
    this.files.write(CA, Buffer.concat([authority.certificate, ...trustedToo]));
  }

  private fileOf(owner: CertificateOwner, extension: 'pem' | 'key'): string {
    return `certificates/${this.clusterName}/${subjectOf(owner).replace(' ', '-')}.${extension}`;
  }
}

function subjectOf({ name, roles }: CertificateOwner): string {
  return roles.includes('node') ? `node ${name}` : name;
}

/** With a name of its own, because two that are trusted at once must not have the same. */
function newAuthority(): LocalAuthority {
  return LocalAuthority.create(`Concordat local authority ${randomBytes(4).toString('hex')}`);
}
