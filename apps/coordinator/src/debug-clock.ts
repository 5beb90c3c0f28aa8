import { readFileSync, watchFile } from 'node:fs';
import { SystemClock } from '@concordat/foundation';

const POLL_MS = 100;

/**
 * For tests and demos: the machine's clock plus the milliseconds in a file (negative: behind). The file may appear,
 * change and disappear while the process runs; without it the offset is 0. The monotonic clock is not affected.
 */
export class DebugClock extends SystemClock {
  private aheadMs = 0;

  constructor(private readonly file: string) {
    super();
    this.read();
    watchFile(file, { interval: POLL_MS, persistent: false }, () => this.read());
  }

  override now(): number {
    return super.now() + this.aheadMs;
  }

  private read(): void {
    let text = '';
    try {
      text = readFileSync(this.file, 'utf8');
    } catch {
      // no file: no offset
    }
    const aheadMs = Number(text.trim());
    this.aheadMs = Number.isFinite(aheadMs) ? aheadMs : 0;
  }
}
