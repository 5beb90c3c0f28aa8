import { statSync } from 'node:fs';
import { rereadOnRequest, type Rereadable } from './files-again.js';
import type { Logger } from './logger.js';
import { readPrivateFile, type FileKind } from './private-file.js';

/** At most this often the file is looked at. */
const LOOK_EACH_MS = 1_000;

export interface WatchedFileOptions<Content> {
  readonly path: string;
  readonly kind: FileKind;
  /** a sentence's end says what is wrong */
  readonly parse: (
    text: string,
  ) => { readonly ok: true; readonly content: Content } | { readonly ok: false; readonly expected: string };
  readonly monotonic: () => number;
  readonly logger: Logger;
  readonly onChange?: () => void;
  /** what the constructor throws, made of a sentence */
  readonly failure: (sentence: string) => Error;
}

/**
 * The content of a file, read again when the file has changed. A new content that is wrong is logged and not taken: the
 * last one that was right stays.
 */
export class WatchedFile<Content> implements Rereadable {
  private current: Content;
  private stamp: string;
  private lookedAt: number;

  /** Throws what `failure` makes when the file cannot be taken at the start. */
  constructor(private readonly options: WatchedFileOptions<Content>) {
    this.lookedAt = options.monotonic();
    this.stamp = stampOf(options.path);
    const read = this.read();
    if (!read.ok) throw options.failure(`${options.path} must be ${read.expected}`);
    this.current = read.content;
    rereadOnRequest(this);
  }

  get content(): Content {
    const now = this.options.monotonic();
    if (now - this.lookedAt < LOOK_EACH_MS) return this.current;
    this.lookedAt = now;
    const stamp = stampOf(this.options.path);
    if (stamp !== this.stamp) {
      this.stamp = stamp;
      this.reload('has changed');
    }
    return this.current;
  }

  readAgain(): void {
    this.lookedAt = this.options.monotonic();
    this.stamp = stampOf(this.options.path);
    this.reload('is asked for');
  }

  private reload(why: string): void {
    const { path, logger, onChange } = this.options;
    const read = this.read();
    if (!read.ok) {
      logger.error(`${path} ${why} and is not taken; what it said before counts. It must be ${read.expected}`);
      return;
    }
    this.current = read.content;
    onChange?.();
    logger.info(`${path} ${why} and is read again`);
  }

  private read(): ReturnType<WatchedFileOptions<Content>['parse']> {
    const file = readPrivateFile(this.options.path, this.options.kind);
    return file.ok ? this.options.parse(file.text) : file;
  }
}

function stampOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats ? `${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.mode}` : 'missing';
}
