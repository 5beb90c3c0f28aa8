import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

interface Observed {
  observe(value: number): void;
}

/** from 1 ms (a decision in memory) to 60 s (the longest `waitMs`) */
const DURATION_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Sampling at the default of 10 ms would wake an idle process 100 times a second. */
const EVENT_LOOP_SAMPLING_MS = 100;

/**
 * The numbers under `/metrics`. Parts of the coordinator count through its methods, or register gauges that are read on
 * each scrape and cost a transaction nothing.
 */
export class Metrics {
  readonly registry = new Registry();
  private readonly httpDurations: Histogram<'method' | 'route' | 'status'>;
  private readonly httpChildren = new Map<string, Observed>();
  private readonly ended: Counter<'outcome' | 'reason'>;

  constructor() {
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLING_MS });
    this.httpDurations = new Histogram({
      name: 'concordat_http_request_duration_seconds',
      help: 'Time from a request to its answer, by route',
      labelNames: ['method', 'route', 'status'],
      buckets: DURATION_BUCKETS_SECONDS,
      registers: [this.registry],
    });
    this.ended = new Counter({
      name: 'concordat_transactions_total',
      help: 'Transactions decided while this node led, by outcome and reason of an abort',
      labelNames: ['outcome', 'reason'],
      registers: [this.registry],
    });
  }

  /** @param route the pattern, never the path: a label must have few values */
  observeRequest(method: string, route: string, status: number, durationMs: number): void {
    const key = `${method} ${status} ${route}`;
    let child = this.httpChildren.get(key);
    if (!child) {
      child = this.httpDurations.labels({ method, route, status: String(status) });
      this.httpChildren.set(key, child);
    }
    child.observe(durationMs / 1000);
  }

  /** The leader that decided calls it once per transaction. */
  transactionDecided(outcome: 'committed' | 'aborted' | 'mixed', reason = ''): void {
    this.ended.inc({ outcome, reason });
  }

  /** Registers a number that is read on each scrape. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** Registers a counter. Call the returned function for each event. */
  counter(name: string, help: string): (by?: number) => void {
    const counter = new Counter({ name, help, registers: [this.registry] });
    return (by = 1) => counter.inc(by);
  }

  /** Registers a number per value of a label. Both are read on each scrape; values that are gone disappear. */
  labelled(
    name: string,
    help: string,
    label: string,
    kind: 'gauge' | 'counter',
    read: () => Iterable<readonly [value: string, amount: number]>,
  ): void {
    const configuration = { name, help, labelNames: [label], registers: [this.registry] };
    if (kind === 'gauge') {
      new Gauge({
        ...configuration,
        collect() {
          this.reset();
          for (const [value, amount] of read()) this.set({ [label]: value }, amount);
        },
      });
    } else {
      new Counter({
        ...configuration,
        collect() {
          this.reset();
          for (const [value, amount] of read()) this.inc({ [label]: value }, amount);
        },
      });
    }
  }

  /** Prometheus text exposition format 0.0.4. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  get contentType(): string {
    return this.registry.contentType;
  }
}
