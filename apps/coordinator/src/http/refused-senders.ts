import type { FastifyRequest } from 'fastify';
import type { Limiter } from './rate-limits.js';
import { senderOf } from './sender-address.js';

/** Addresses that are remembered; with more, the one that was refused first is forgotten. */
const MAXIMUM_ADDRESSES = 10_000;

/** The addresses from which too many credentials were refused. */
export class RefusedSenders {
  /** until when each is left alone, on the monotonic clock */
  private readonly until = new Map<string, number>();

  constructor(
    private readonly limit: Limiter,
    private readonly monotonic: () => number = () => performance.now(),
  ) {}

  /** Seconds for which no new credential is looked at; undefined: it is. */
  secondsLeft(sender: string): number | undefined {
    const until = this.until.get(sender);
    if (until === undefined) return undefined;
    const leftMs = until - this.monotonic();
    if (leftMs > 0) return Math.ceil(leftMs / 1_000);
    this.until.delete(sender);
    return undefined;
  }

  /** Counts a refused credential. Returns the seconds to wait when it is one too many. */
  async count(request: FastifyRequest): Promise<number | undefined> {
    const seconds = await this.limit(request);
    if (seconds === undefined) return undefined;
    this.until.set(senderOf(request.ip), this.monotonic() + seconds * 1_000);
    if (this.until.size > MAXIMUM_ADDRESSES) {
      const [first] = this.until.keys();
      this.until.delete(first!);
    }
    return seconds;
  }
}
