import { describe, expect, it } from '@jest/globals';
import { Metrics } from './metrics.js';

describe('metrics', () => {
  it('counts outcomes and times requests by route', async () => {
    const metrics = new Metrics();
    metrics.transactionDecided('committed');
    metrics.transactionDecided('aborted', 'LOCK_TIMEOUT');
    metrics.transactionDecided('aborted', 'LOCK_TIMEOUT');
    metrics.observeRequest('GET', '/v1/cluster', 200, 3);
    metrics.observeRequest('GET', '/v1/cluster', 200, 30);
    const text = await metrics.text();
    expect(text).toContain('concordat_transactions_total{outcome="committed",reason=""} 1');
    expect(text).toContain('concordat_transactions_total{outcome="aborted",reason="LOCK_TIMEOUT"} 2');
    const labels = 'method="GET",route="/v1/cluster",status="200"';
    expect(text).toContain(`concordat_http_request_duration_seconds_bucket{le="0.005",${labels}} 1`);
    expect(text).toContain(`concordat_http_request_duration_seconds_count{${labels}} 2`);
  });

  it('reads gauges only when somebody looks', async () => {
    const metrics = new Metrics();
    let reads = 0;
    metrics.gauge('concordat_test_reads', 'for this test', () => ++reads);
    const count = metrics.counter('concordat_test_total', 'for this test');
    count();
    count(2);
    expect(reads).toBe(0);
    const text = await metrics.text();
    expect(text).toMatch(/^concordat_test_reads 1$/m);
    expect(text).toMatch(/^concordat_test_total 3$/m);
  });

  it('wakes an idle process only ten times a second to look at its event loop', async () => {
    const metrics = new Metrics();
    const shortest = async (): Promise<number> =>
      Number(/^nodejs_eventloop_lag_min_seconds (\S+)$/m.exec(await metrics.text())?.[1]);
    let seconds: number;
    do {
      await new Promise((resolve) => setTimeout(resolve, 400)); // each look begins a new time of sampling
      seconds = await shortest();
    } while (!(seconds < 60)); // nothing was sampled yet
    expect(seconds).toBeGreaterThan(0.09);
  });

  it('keeps the numbers of two nodes in one process apart', async () => {
    const [one, other] = [new Metrics(), new Metrics()];
    one.transactionDecided('mixed');
    expect(await other.text()).not.toContain('outcome="mixed"');
  });
});
