import { statSync } from 'node:fs';
import type { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { codedError } from '../coded-error.js';
import { rereadOnRequest, type Rereadable } from '../files-again.js';
import { guarded } from '../guarded.js';
import type { Logger } from '../logger.js';
import { WeakRegistry } from '../weak-registry.js';
import type { CertificateFault } from './certificate-chain.js';
import {
  readCertificates,
  readCertificatesAgain,
  type CertificateChecks,
  type CertificateFile,
  type CertificatePaths,
  type Certificates,
} from './certificate-files.js';
import type { ShownCertificate } from './shown-certificate.js';

/** How often the files are looked at. A change is read when it has lasted from one look to the next. */
const LOOK_EACH_MS = 1_000;
const DAY_MS = 86_400_000;
/** A certificate that ends sooner is warned of, at the start and once a day. */
const WARN_BEFORE_MS = 30 * DAY_MS;

export interface WatchedCertificatesOptions {
  /** for the log and the metrics: `http`, `raft` */
  readonly use: string;
  readonly paths: CertificatePaths;
  /** what else the own certificate must be: the end of "it must be …"; undefined when it is */
  readonly fault?: (certificate: X509Certificate) => string | undefined;
  readonly logger: Logger;
  /** the wall clock, in milliseconds since 1970: certificates end by it */
  readonly now: () => number;
  readonly lookEachMs?: number;
}

/** What is taken, or stays as it was, by itself. */
const PARTS = [
  { name: 'authorities', files: ['ca'], fields: ['ca'] },
  { name: 'certificates', files: ['certificate', 'key'], fields: ['certificate', 'key'] },
  { name: 'revocations', files: ['revoked'], fields: ['revoked'] },
] as const satisfies readonly {
  readonly name: string;
  readonly files: readonly CertificateFile[];
  readonly fields: readonly (keyof Certificates)[];
}[];

const watched = new WeakRegistry<WatchedCertificates>();

/**
 * Seconds until the certificates that this process shows end, by their use; negative for one that has. For the metrics of
 * a service.
 */
export function certificateExpiries(): Readonly<Record<string, number>> {
  return Object.fromEntries([...watched].map(({ use, expirySeconds }) => [use, expirySeconds]));
}

/** Certificates or key cannot be used. */
export class CertificateError extends codedError('CERTIFICATE_UNUSABLE') {
  constructor(
    readonly file: CertificateFile,
    path: string,
    readonly expected: string,
  ) {
    super(`${path} is not usable; it must be ${expected}`);
  }
}

/**
 * Certificates and key in files, read again when a file changes. New ones that cannot be used are logged, and the last
 * usable ones stay; the authorities and the revocations are taken all the same. The certificate and its key may be
 * replaced one after the other, within two seconds.
 *
 * States: watching → stopped.
 */
export class WatchedCertificates implements Rereadable {
  private read: Certificates;
  private readStamp: string;
  private seenStamp: string;
  private warnedAt = -Infinity;
  private readonly listeners: (() => void)[] = [];
  private readonly reviewers: (() => void)[] = [];
  private readonly timer: NodeJS.Timeout;
  private readonly forget: () => void;
  private readonly failed = (error: unknown): void =>
    this.options.logger.error('certificates could not be looked at', error);

  /** @throws CertificateError */
  constructor(private readonly options: WatchedCertificatesOptions) {
    this.readStamp = this.seenStamp = stampOf(options.paths);
    const read = readCertificates(options.paths, this.checks());
    if (!read.ok) throw new CertificateError(read.file, options.paths[read.file] ?? '', read.expected);
    this.read = read.certificates;
    this.warnOfEnd();
    this.timer = setInterval(
      guarded(() => this.look(), this.failed),
      options.lookEachMs ?? LOOK_EACH_MS,
    ).unref();
    const forget = [rereadOnRequest(this), watched.add(this)];
    this.forget = () => forget.forEach((one) => one());
  }

  get use(): string {
    return this.options.use;
  }

  get current(): Certificates {
    return this.read;
  }

  /** Seconds until the own certificate ends; negative when it has. */
  get expirySeconds(): number {
    return (this.read.expiresAt - this.options.now()) / 1_000;
  }

  /** Why a certificate that the other end has shown does not count now; undefined when it does. */
  faultOf(certificate: ShownCertificate): CertificateFault | undefined {
    return certificate.faultBy(this.read, this.options.now());
  }

  /** Called when other certificates, or other revocations, are in force. */
  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Called after each change, and each second, because certificates end: to look at open connections again. */
  onReview(reviewer: () => void): void {
    this.reviewers.push(reviewer);
  }

  readAgain(): void {
    this.seenStamp = stampOf(this.options.paths);
    this.reload(this.seenStamp);
  }

  stop(): void {
    clearInterval(this.timer);
    this.forget();
  }

  private look(): void {
    const stamp = stampOf(this.options.paths);
    const isStable = stamp === this.seenStamp;
    this.seenStamp = stamp;
    if (isStable && stamp !== this.readStamp) this.reload(stamp);
    this.tell(this.reviewers);
    this.warnOfEnd();
  }

  private reload(stamp: string): void {
    const { use, logger, paths } = this.options;
    this.readStamp = stamp;
    const before = this.read;
    const { certificates, faults } = readCertificatesAgain(paths, this.checks(), before);
    for (const { file, expected } of faults) {
      const { name } = PARTS.find(({ files }) => (files as readonly string[]).includes(file))!;
      logger.error(`the ${name} of ${use} are not taken; the last ones stay: ${paths[file]} must be ${expected}`);
    }
    const changed = PARTS.filter(({ fields }) =>
      fields.some((field) => !isDeepStrictEqual(certificates[field], before[field])),
    ).map(({ name }) => name);
    if (changed.length === 0) {
      if (faults.length === 0) logger.info(`the certificates of ${use} are the same`);
      return;
    }
    this.read = certificates;
    if (changed.includes('certificates')) this.warnedAt = -Infinity;
    this.tell(this.listeners);
    this.tell(this.reviewers);
    const what = faults.length === 0 ? 'certificates' : changed.join(' and the ');
    logger.info(`the ${what} of ${use} have changed and are read again`);
  }

  /** One that fails keeps no other from what it does with the change. */
  private tell(listeners: readonly (() => void)[]): void {
    for (const listener of listeners) guarded(listener, this.failed)();
  }

  private checks(): CertificateChecks {
    const { now, fault } = this.options;
    return { now: now(), fault };
  }

  private warnOfEnd(): void {
    const { now, use, logger, paths } = this.options;
    const time = now();
    const leftMs = this.read.expiresAt - time;
    if (leftMs > WARN_BEFORE_MS || time - this.warnedAt < DAY_MS) return;
    this.warnedAt = time;
    const when = leftMs <= 0 ? 'has ended' : `ends in ${Math.ceil(leftMs / DAY_MS)} days`;
    logger.warn(`the certificate of ${use} ${when}: replace ${paths.certificate} and its key; no restart is needed`);
  }
}

function stampOf(paths: CertificatePaths): string {
  return Object.values(paths)
    .map((path) => {
      const stats = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
      return stats ? `${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.mode}` : 'none';
    })
    .join(' ');
}
