import type { Clock, Timer } from '@concordat/foundation';
import { errorMessage } from '@concordat/foundation';
import { isOutOfFiles, type FileSystem } from './file-system.js';

/** How long whoever lacks room waits before it looks again. */
export const spaceRetryMs = 500;

/** What a directory is written for: segments of the log, own snapshots, the leader's snapshot. */
export type SpaceUse = 'log' | 'snapshot' | 'received-snapshot';

interface Lack {
  readonly text: string;
  readonly neededBytes: number;
}

/**
 * Knows who lacks room on the disk, and tells one listener in a sentence; with undefined when nobody does any more.
 *
 * The log tries again by itself. Nobody may try a snapshot again while proposals are refused, so for those the free
 * space is asked every `spaceRetryMs`; when a quota is what lacks, the system calls it free, and the next snapshot
 * finds out.
 */
export class SpaceWatch {
  private readonly lacks = new Map<SpaceUse, Lack>();
  private listener: ((lack: string | undefined) => void) | undefined;
  private told: string | undefined;
  private timer: Timer | undefined;
  private closed = false;

  constructor(
    private readonly options: {
      readonly directory: string;
      readonly fileSystem: FileSystem;
      readonly clock: Clock;
    },
  ) {}

  onSpace(listener: (lack: string | undefined) => void): void {
    this.listener = listener;
    if (this.told !== undefined) listener(this.told);
  }

  /** @param what was to be written, in words */
  lacking(use: SpaceUse, what: string, neededBytes: number, error: unknown): void {
    const cannot = isOutOfFiles(error) ? 'no file can be opened' : 'no room';
    const text = `${cannot} for ${what} of ${describeBytes(neededBytes)} in ${this.options.directory}: ${errorMessage(error)}`;
    this.lacks.set(use, { text, neededBytes });
    this.tell();
    this.scheduleLook();
  }

  satisfied(use: SpaceUse): void {
    if (this.lacks.delete(use)) this.tell();
  }

  /** Nobody is told anything more. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
  }

  private tell(): void {
    if (this.closed) return;
    const text = this.lacks.values().next().value?.text;
    if (text === this.told) return;
    this.told = text;
    this.listener?.(text);
  }

  private scheduleLook(): void {
    if (this.timer || this.closed || ![...this.lacks.keys()].some((use) => use !== 'log')) return;
    this.timer = this.options.clock.setTimer(spaceRetryMs, () => {
      void this.look().finally(() => {
        this.timer = undefined;
        this.scheduleLook();
      });
    });
  }

  private async look(): Promise<void> {
    const { fileSystem, directory } = this.options;
    const availableBytes = await fileSystem.availableBytes(directory).catch(() => 0); // asked again soon
    for (const [use, { neededBytes }] of this.lacks)
      if (use !== 'log' && neededBytes <= availableBytes) this.satisfied(use);
  }
}

/** `8 MiB`, `1.5 KiB`, `1000 bytes`: to one decimal. */
function describeBytes(count: number): string {
  if (count < 1024) return `${count} bytes`;
  const [divisor, unit] = count < 1024 * 1024 ? [1024, 'KiB'] : [1024 * 1024, 'MiB'];
  return `${Math.round((10 * count) / divisor) / 10} ${unit}`;
}
