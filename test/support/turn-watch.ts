import { readFileSync } from 'node:fs';
import { brotliCompressSync, constants } from 'node:zlib';

/** Of Linux: how long the main thread of this process was on a processor, in nanoseconds, before the first space. */
const MAIN_THREAD = `/proc/self/task/${process.pid}/schedstat`;

/**
 * The longest turn of the event loop, in milliseconds of the main thread's processor time: how long this process
 * computes before others have a turn. Not wall time, of which other processes of the machine take their share, and not
 * the time of the collector's helpers. Where the system does not tell, the time of all threads.
 */
export class TurnWatch {
  private longestMs = 0;
  private isRunning = true;
  private usedMs = usedMs();

  private constructor() {
    const look = (): void => {
      if (!this.isRunning) return;
      this.note();
      setImmediate(look);
    };
    setImmediate(look);
  }

  /** The longest turn while `work` runs. */
  static async during<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly longestTurnMs: number }> {
    const watch = new TurnWatch();
    await turn();
    watch.longestMs = 0;
    try {
      const result = await work();
      await turn();
      return { result, longestTurnMs: watch.longestMs };
    } finally {
      watch.isRunning = false;
    }
  }

  private note(): void {
    const now = usedMs();
    this.longestMs = Math.max(this.longestMs, now - this.usedMs);
    this.usedMs = now;
  }
}

/** Lets the event loop go round. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Processor time of the main thread so far. The system counts it in steps of some milliseconds. */
export function usedMs(): number {
  try {
    return Number(readFileSync(MAIN_THREAD, 'latin1').split(' ')[0]) / 1e6;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  }
}

/** Enough for the steps in which the system counts processor time. */
const PIECES = 20;

/**
 * Processor time, in milliseconds, of a piece of work that nobody can divide: compressing one large text, as the archive
 * does. Bounds of turns are told in such pieces, because machines differ, and one machine is not always as fast.
 */
export function pieceMs(text: string): number {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 4 };
  const rounds = Array.from({ length: 3 }, () => {
    const before = usedMs();
    for (let piece = 0; piece < PIECES; piece++) brotliCompressSync(JSON.stringify([text]), { params });
    return (usedMs() - before) / PIECES;
  });
  return rounds.sort((a, b) => a - b)[1]!;
}
