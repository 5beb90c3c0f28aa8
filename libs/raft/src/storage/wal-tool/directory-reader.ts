import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DirectoryClaims } from '../directory-claim.js';
import { findLockHolder } from '../directory-lock.js';
import { LogCorruptedError, StorageFormatError, StorageOwnerError } from '../errors.js';
import { hasErrorCode, type File, type FileSystem } from '../file-system.js';
import { checkOwner, type StorageOwner } from '../owner.js';
import type { ProcessTable } from '../process-table.js';
import {
  readReceivedProgress,
  readReceivedSnapshotHeader,
  receivedSnapshotName,
  type ReceivedProgress,
} from '../received-snapshot-file.js';
import { checkSegmentPlace, scanSegment, type LogPosition, type SegmentContent } from '../segment-scan.js';
import { parseSegmentName, readSegmentHeader, type SegmentHeader } from '../segment.js';
import { checkSnapshotData, parseSnapshotName, readSnapshotHeader, type SnapshotHeader } from '../snapshot-file.js';

/** What is wrong with a file. */
export interface Damage {
  readonly offset: number;
  readonly reason: string;
}

export interface SegmentReport {
  readonly type: 'segment';
  readonly name: string;
  readonly sizeBytes: number;
  /** undefined when it cannot be read */
  readonly header: SegmentHeader | undefined;
  readonly content: SegmentContent | undefined;
  readonly damage: Damage | undefined;
}

export interface SnapshotReport {
  readonly type: 'snapshot';
  readonly name: string;
  readonly header: SnapshotHeader | undefined;
  readonly damage: Damage | undefined;
}

export interface ReceivedReport {
  readonly type: 'received';
  readonly name: string;
  readonly header: SnapshotHeader | undefined;
  readonly progress: ReceivedProgress | undefined;
  readonly damage: Damage | undefined;
}

/** A file without meaning for the log, or one that a running node removed before it was read. */
export interface OtherReport {
  readonly type: 'other' | 'vanished';
  readonly name: string;
  readonly note: string;
  readonly damage: undefined;
}

export type FileReport = SegmentReport | SnapshotReport | ReceivedReport | OtherReport;

/** The process that has a directory open, or had it when it died. */
export type LockHolder = { readonly pid: number; readonly lives: boolean } | undefined;

/** A running node may be writing the tail while it is read; reading again helps. */
const tailReadings = 5;
const tailWaitMs = 20;

/**
 * Reads a node's directory file by file, without a lock and without a change. Files that a running node removes in
 * between are reported as vanished.
 */
export class DirectoryReader {
  /** from the first file that names it; all files must belong to it */
  owner: StorageOwner | undefined;
  holder: LockHolder;
  names: readonly string[] = [];
  private previous: LogPosition | undefined;

  constructor(
    readonly directory: string,
    private readonly fileSystem: FileSystem,
    private readonly processes: ProcessTable,
    private readonly claims: DirectoryClaims,
  ) {}

  get inUse(): boolean {
    return this.holder?.lives === true;
  }

  /** Whether the directory has any part of a node's log. Call it first. */
  async open(): Promise<boolean> {
    this.names = (await this.fileSystem.list(this.directory)).sort();
    this.holder = await findLockHolder(this.directory, this.fileSystem, this.processes, this.claims);
    return this.names.some((name) => parseSegmentName(name) !== undefined || parseSnapshotName(name) !== undefined);
  }

  /** The files: segments in order, snapshots, the received one, all others. */
  async *files(): AsyncGenerator<FileReport> {
    const segments = this.names.filter((name) => parseSegmentName(name) !== undefined);
    for (const name of segments)
      yield this.unlessVanished(name, () => this.readSegment(name, name === segments.at(-1)));
    const snapshots = this.names.filter((name) => parseSnapshotName(name) !== undefined);
    for (const name of snapshots) yield this.unlessVanished(name, () => this.readSnapshot(name));
    if (this.names.includes(receivedSnapshotName))
      yield this.unlessVanished(receivedSnapshotName, () => this.readReceived());
    const known = new Set([...segments, ...snapshots, receivedSnapshotName]);
    for (const name of this.names) if (!known.has(name)) yield describeOther(name);
  }

  private async unlessVanished(name: string, read: () => Promise<FileReport>): Promise<FileReport> {
    try {
      return await read();
    } catch (error) {
      if (!hasErrorCode(error, 'ENOENT')) throw error;
      if (parseSegmentName(name) !== undefined) this.previous = undefined; // those before it are gone, too
      return { type: 'vanished', name, note: 'removed while the directory was read', damage: undefined };
    }
  }

  private async readSegment(name: string, isLast: boolean): Promise<SegmentReport> {
    for (let reading = 1; ; reading++) {
      const report = await this.readSegmentOnce(name, isLast);
      const changing = isLast && this.inUse && report.content?.ending.type === 'damaged';
      if (changing && reading < tailReadings) {
        await sleep(tailWaitMs);
        continue;
      }
      this.previous = endOf(report);
      return report;
    }
  }

  private async readSegmentOnce(name: string, isLast: boolean): Promise<SegmentReport> {
    const path = join(this.directory, name);
    const buffer = await this.fileSystem.readFile(path);
    const common = { type: 'segment', name, sizeBytes: buffer.length } as const;
    try {
      const header = readSegmentHeader(buffer, path);
      const content = scanSegment(buffer, header, isLast);
      const misplaced = damageIn(() => {
        this.checkOwner(path, header.owner);
        checkSegmentPlace(path, name, header, this.previous);
      });
      const damage = misplaced ?? (content.ending.type === 'damaged' ? content.ending : undefined);
      return { ...common, header, content, damage: damage && { offset: damage.offset, reason: damage.reason } };
    } catch (error) {
      return { ...common, header: undefined, content: undefined, damage: asDamage(error) };
    }
  }

  private readSnapshot(name: string): Promise<SnapshotReport> {
    const path = join(this.directory, name);
    return this.withFile(path, async (file) => {
      let header: SnapshotHeader | undefined;
      let damage: Damage | undefined;
      try {
        const { owner, ...rest } = await readSnapshotHeader(file, path, 'saved');
        header = rest;
        this.checkOwner(path, owner);
        await checkSnapshotData(file, path, header);
      } catch (error) {
        damage = asDamage(error);
      }
      return { type: 'snapshot', name, header, damage };
    });
  }

  private readReceived(): Promise<ReceivedReport> {
    const name = receivedSnapshotName;
    const path = join(this.directory, name);
    return this.withFile(path, async (file) => {
      let header: SnapshotHeader | undefined;
      let progress: ReceivedProgress | undefined;
      let damage: Damage | undefined;
      try {
        const { owner, ...rest } = await readReceivedSnapshotHeader(file, path);
        header = rest;
        this.checkOwner(path, owner);
        progress = await readReceivedProgress(file, path, header);
      } catch (error) {
        damage = asDamage(error);
      }
      return { type: 'received', name, header, progress, damage };
    });
  }

  private checkOwner(path: string, owner: StorageOwner): void {
    this.owner ??= owner;
    checkOwner(path, owner, this.owner);
  }

  private async withFile<T>(path: string, work: (file: File) => Promise<T>): Promise<T> {
    const file = await this.fileSystem.open(path, 'read');
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  }
}

/** Undefined after damage, so that one fault is not reported twice. */
function endOf({ header, content, damage }: SegmentReport): LogPosition | undefined {
  if (!header || !content || damage) return undefined;
  return { sequence: header.firstSequence + content.records.length - 1, chain: content.chain };
}

function damageIn(check: () => void): Damage | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return asDamage(error);
  }
}

/** Turns errors about damage into a finding; rethrows others. */
function asDamage(error: unknown): Damage {
  if (error instanceof LogCorruptedError) return { offset: error.offset, reason: error.reason };
  if (error instanceof StorageFormatError || error instanceof StorageOwnerError)
    return { offset: 0, reason: error.message };
  throw error;
}

function describeOther(name: string): OtherReport {
  return { type: 'other', name, note: noteOn(name), damage: undefined };
}

function noteOn(name: string): string {
  if (name === 'lock') return 'names the process that opened the directory';
  if (/^lock\..*\.sock$/.test(name)) return 'identifies the live process that has the directory';
  if (name.endsWith('.tmp')) return 'unfinished or prepared, removed at the next start';
  if (name.endsWith('.corrupt')) return 'a damaged snapshot that an earlier start has set aside';
  return 'not a file of the log';
}
