import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** Whether one more request is too many; if so, the seconds after which it would not be. */
export type Limiter = (request: FastifyRequest) => Promise<number | undefined>;

/** What a limiter counts at a time; beyond it, what was seen longest ago is forgotten. */
const MAXIMUM_COUNTED = 20_000;

export interface LimiterOptions {
  readonly maximum: number;
  readonly windowMs: number;
  readonly keyOf: (request: FastifyRequest) => string;
}

/** Makes limiters of this node; it counts for itself only. */
export async function limitersOf(fastify: FastifyInstance): Promise<(options: LimiterOptions) => Limiter> {
  await fastify.register(rateLimit, { global: false, store: Counters });
  return ({ maximum, windowMs, keyOf }) => {
    const count = fastify.createRateLimit({
      max: maximum,
      timeWindow: windowMs,
      keyGenerator: keyOf,
    });
    return async (request) => {
      const limit = await count(request);
      return limit.isAllowed || !limit.isExceeded ? undefined : Math.max(1, limit.ttlInSeconds);
    };
  };
}

interface Counter {
  count: number;
  /** on the monotonic clock */
  endsAt: number;
}

/**
 * The counts of windows of time. The plugin's own store hands out an object that it goes on to change, so that of the
 * requests that arrive together either all are too many or none.
 */
class Counters implements FastifyRateLimitStore {
  private readonly byKey = new Map<string, Counter>(); // the one that was seen longest ago first

  incr(key: string, callback: Parameters<FastifyRateLimitStore['incr']>[1], windowMs: number): void {
    const now = performance.now();
    const known = this.byKey.get(key);
    const counter = known && known.endsAt > now ? known : { count: 0, endsAt: now + windowMs };
    counter.count++;
    this.byKey.delete(key);
    this.byKey.set(key, counter);
    if (this.byKey.size > MAXIMUM_COUNTED) {
      const [first] = this.byKey.keys();
      this.byKey.delete(first!);
    }
    callback(null, { current: counter.count, ttl: counter.endsAt - now });
  }

  /** Of a limiter of its own, so that many addresses do not make it forget principals. */
  child(): FastifyRateLimitStore {
    return new Counters();
  }
}
