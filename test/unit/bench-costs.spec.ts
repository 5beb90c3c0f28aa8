import { describe, expect, it } from '@jest/globals';
import type { Measurement } from '../bench/closed-loop.js';
import { countersPerTransfer, sumOf } from '../bench/rows/product-counters.js';
import type { Row } from '../bench/rows/steady-row.js';
import { summarise, type SystemRound } from '../bench/transfer/comparison.js';
import { comparisonTable, costTable } from '../bench/transfer/tables.js';

const METRICS = `# HELP concordat_broker_requests_total Requests
# TYPE concordat_broker_requests_total counter
concordat_broker_requests_total{kind="Produce"} 5
concordat_broker_requests_total{kind="Fetch"} 7
concordat_raft_sent_appends_total{content="entries"} 3
concordat_raft_sent_appends_total{content="none"} 40
concordat_raft_log_syncs_total 2e3
concordat_raft_log_syncs_total_of_another 9
`;

describe('counters of the product', () => {
  it('are read from Prometheus text, over all labels or for one', () => {
    expect(sumOf(METRICS, 'concordat_broker_requests_total')).toBe(12);
    expect(sumOf(METRICS, 'concordat_raft_sent_appends_total', 'content="none"')).toBe(40);
    expect(sumOf(METRICS, 'concordat_raft_log_syncs_total')).toBe(2000);
    expect(sumOf(METRICS, 'concordat_missing_total')).toBe(0);
  });

  it('are given for one transfer, where a process has them', () => {
    const before = new Map([['coordinator-1', { appends: 10, fsyncs: 5 }]]);
    const after = new Map([
      ['coordinator-1', { appends: 30, fsyncs: 15 }],
      ['bank-a', { kafkaRequests: 4 }],
    ]);
    expect(countersPerTransfer(before, after, 10)).toEqual({
      'coordinator-1': { appends: 2, fsyncs: 1 },
      'bank-a': { kafkaRequests: 0.4 },
    });
  });
});

describe('what is compared', () => {
  const measured = (perSecond: number, p50Ms: number, aborted = {}): Measurement => ({
    clients: 8, seconds: 1, committed: perSecond, aborted, perSecond, p50Ms, p90Ms: p50Ms, p99Ms: 2 * p50Ms,
  }); // prettier-ignore
  const row = <Value>(value: Value, foreignShare = 0.01): Row<Value> => ({
    value,
    foreignShare,
    leaderChanged: false,
    doubts: foreignShare > 0.08 ? ['foreign-cpu'] : [],
    attempts: 1,
  });
  const round = (perSecond: number, cpuMs: number): SystemRound => ({
    measurement: measured(perSecond, 10, { LOCK_TIMEOUT: 1 }),
    perTransfer: {
      kafka: { cpuMs, wakeUps: 3, writeCalls: 1 },
      'coordinator-1': { cpuMs: 1, wakeUps: 2, writeCalls: 4, appends: 2, fsyncs: 1 },
    },
    memoryMiB: { kafka: 300, 'coordinator-1': 150 },
  });
  const comparison = summarise({
    clients: 8,
    raw: [row(measured(1000, 1)), row(measured(500, 2)), row(measured(1000, 1))],
    system: [row(round(100, 5)), row(round(100, 7), 0.12), row(round(300, 6))],
  });

  it('is the median of each figure, and ratios are those of neighbours', () => {
    expect(comparison).toMatchObject({ rawPerSecond: 1000, systemPerSecond: 100, ratio: 0.2, p50Ratio: 10 });
    expect(comparison.aborted).toEqual({ LOCK_TIMEOUT: 3 });
    expect(comparison.perTransfer['kafka']).toEqual({ cpuMs: 6, wakeUps: 3, writeCalls: 1 });
    expect(comparison.perTransfer['coordinator-1']).toMatchObject({ appends: 2, fsyncs: 1 });
  });

  it('stands in tables with its marks, its sums, and a dash for what a process does not tell', () => {
    const { header, rows } = comparisonTable([{ link: 'kafka', comparisons: [comparison] }]);
    const cell = (title: string): string => rows[0]![header.indexOf(title)]!;
    expect([cell('link'), cell('ratio'), cell('CPU ms'), cell('aborts'), cell('foreign')]).toEqual([
      'kafka', '0.200', '7.00', '3', '12.0 %!',
    ]); // prettier-ignore
    const costs = costTable(comparison);
    expect(costs.header).toEqual(['process', 'CPU ms', 'wake-ups', 'writes', 'Kafka requests', 'appends', 'empty appends', 'fsyncs', 'MiB']); // prettier-ignore
    expect(costs.rows).toEqual([
      ['kafka', '6.000', '3.00', '1.00', '-', '-', '-', '-', '300'],
      ['coordinator-1', '1.000', '2.00', '4.00', '-', '2.00', '-', '1.00', '150'],
      ['all', '7.000', '5.00', '5.00', '-', '2.00', '-', '1.00', '450'],
    ]);
  });
});
