import { readFileSync, watchFile } from 'node:fs';
import { SystemClock } from '@concordat/foundation';

const POLL_MS = 100;

/**
 * For tests and demos: the machine's clock, set ahead by as many milliseconds as a file says (below 0: set back). The
 * file may come, change and go while the process runs; without it the clock is right. The monotonic clock goes on.
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
      // it is not there: the clock is right
    }
    const aheadMs = Number(text.trim());
    this.aheadMs = Number.isFinite(aheadMs) ? aheadMs : 0;
  }
}
