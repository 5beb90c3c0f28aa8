import type { Clock, Timer } from '@concordat/foundation';
import { errorMessage } from '@concordat/foundation';
import { isOutOfFiles, type FileSystem } from './file-system.js';

/** Interval of retries on a full disk. */
export const spaceRetryMs = 500;

/** What is written to a directory: segments of the log, own snapshots, the leader's snapshot. */
export type SpaceUse = 'log' | 'snapshot' | 'received-snapshot';

interface Shortage {
  readonly text: string;
  readonly neededBytes: number;
}

/**
 * Tells one listener in a sentence what the disk is full for; undefined when there is space again.
 *
 * The log retries by itself. No snapshot is tried while proposals are refused, so for snapshots the free space is read
 * every `spaceRetryMs`. With a used-up quota the system still reports free space, and the next snapshot finds out.
 */
export class SpaceWatch {
  private readonly shortages = new Map<SpaceUse, Shortage>();
  private listener: ((diskFullReason: string | undefined) => void) | undefined;
  private reported: string | undefined;
  private timer: Timer | undefined;
  private closed = false;

  constructor(
    private readonly options: {
      readonly directory: string;
      readonly fileSystem: FileSystem;
      readonly clock: Clock;
    },
  ) {}

  onSpace(listener: (diskFullReason: string | undefined) => void): void {
    this.listener = listener;
    if (this.reported !== undefined) listener(this.reported);
  }

  /** @param what was to be written, in words */
  diskFull(use: SpaceUse, what: string, neededBytes: number, error: unknown): void {
    const cannot = isOutOfFiles(error) ? 'no file can be opened' : 'no room';
    const text = `${cannot} for ${what} of ${describeBytes(neededBytes)} in ${this.options.directory}: ${errorMessage(error)}`;
    this.shortages.set(use, { text, neededBytes });
    this.report();
    this.scheduleLook();
  }

  hasRoom(use: SpaceUse): void {
    if (this.shortages.delete(use)) this.report();
  }

  /** No further calls of the listener. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
  }

  private report(): void {
    if (this.closed) return;
    const text = this.shortages.values().next().value?.text;
    if (text === this.reported) return;
    this.reported = text;
    this.listener?.(text);
  }

  private scheduleLook(): void {
    if (this.timer || this.closed || ![...this.shortages.keys()].some((use) => use !== 'log')) return;
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
    for (const [use, { neededBytes }] of this.shortages)
      if (use !== 'log' && neededBytes <= availableBytes) this.hasRoom(use);
  }
}

/** `8 MiB`, `1.5 KiB`, `1000 bytes`: to one decimal. */
function describeBytes(count: number): string {
  if (count < 1024) return `${count} bytes`;
  const [divisor, unit] = count < 1024 * 1024 ? [1024, 'KiB'] : [1024 * 1024, 'MiB'];
  return `${Math.round((10 * count) / divisor) / 10} ${unit}`;
}
