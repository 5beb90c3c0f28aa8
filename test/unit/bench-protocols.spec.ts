import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Measurement } from '../bench/closed-loop.js';
import { fitLine, type Point } from '../bench/linear-fit.js';
import {
  AccountTurns,
  amountAt,
  cellsOf,
  PROTOCOLS,
  transactionBody,
  type Cell,
  type ProtocolName,
} from '../bench/protocols/cells.js';
import { earlierFigures } from '../bench/protocols/earlier.js';
import { begunAtMs, DisappearanceWatch } from '../bench/protocols/in-doubt.js';
import { linksText, protocolsReport, protocolsText } from '../bench/protocols/report.js';
import { branchCosts, compareKinds, figuresOf, type CellRounds } from '../bench/protocols/summary.js';
import type { ProtocolsMeasurement } from '../bench/protocols/workload.js';
import type { Link } from '../bench/system.js';

const BRANCHES = [2, 3, 5, 8, 16];

function measured(perSecond: number, p50Ms = 1000 / perSecond): Measurement {
  return { clients: 1, seconds: 1, committed: perSecond, aborted: {}, perSecond, p50Ms, p90Ms: p50Ms, p99Ms: p50Ms };
}

function rounds(protocol: ProtocolName, branches: number, perSecond: number[], boundPerSecond = 1000): CellRounds {
  return {
    cell: { protocol, branches },
    clients: 1,
    bound: perSecond.map(() => measured(boundPerSecond)),
    system: perSecond.map((value) => measured(value)),
    cpuMs: perSecond.map(() => branches),
    memoryMiB: perSecond.map(() => 100),
    conditions: [],
  };
}

describe('a line through points', () => {
  it('is found exactly where there is one', () => {
    const fit = fitLine(BRANCHES.map((x): Point => [x, 3 + 2 * x]))!;
    expect(fit.slope).toBeCloseTo(2);
    expect(fit.intercept).toBeCloseTo(3);
    expect(fit.rSquared).toBeCloseTo(1);
    expect(fit.bend).toBeCloseTo(1);
  });

  it('does not depend on the order of the points', () => {
    const points = BRANCHES.map((x): Point => [x, 3 + 2 * x + (x % 3)]);
    expect(fitLine(points.toReversed())!.bend).toBeCloseTo(fitLine(points)!.bend!);
  });

  it('tells a parabola by its bend, where R² is high, too', () => {
    const fit = fitLine(BRANCHES.map((x): Point => [x, x * x]))!;
    expect(fit.rSquared).toBeGreaterThan(0.9);
    expect(fit.bend).toBeGreaterThan(2);
  });

  it('explains a quarter of the spread where the rest is noise', () => {
    // by hand: mean 1, slope 0.5, residuals -0.5, 1 and -0.5 squared sum to 1.5 of a total of 2
    const fit = fitLine([
      [1, 0],
      [2, 2],
      [3, 1],
    ])!;
    expect(fit.slope).toBeCloseTo(0.5);
    expect(fit.rSquared).toBeCloseTo(0.25);
  });

  it.each([
    { name: 'no point', points: [] },
    { name: 'one point', points: [[1, 1] as const] },
    { name: 'points above each other', points: [[1, 1] as const, [1, 2] as const] },
  ])('is not there for $name', ({ points }) => expect(fitLine(points)).toBeUndefined());

  it('has no bend through two points, and none where its lower half falls', () => {
    expect(fitLine([[1, 1], [2, 2]])!.bend).toBeUndefined(); // prettier-ignore
    expect(fitLine([[1, 2], [2, 1], [3, 5]])!.bend).toBeUndefined(); // prettier-ignore
  });

  it('is level where all are the same', () => {
    expect(fitLine([[1, 4], [2, 4], [3, 4]])).toMatchObject({ slope: 0, rSquared: 1 }); // prettier-ignore
  });
});

describe('kinds of transactions', () => {
  it('are each protocol with each number of branches, and one phase once', () => {
    expect(cellsOf(PROTOCOLS, [2, 3])).toEqual([
      { protocol: 'one-phase', branches: 1 },
      { protocol: '2pc', branches: 2 },
      { protocol: '3pc', branches: 2 },
      { protocol: 'read-only', branches: 2 },
      { protocol: '2pc', branches: 3 },
      { protocol: '3pc', branches: 3 },
      { protocol: 'read-only', branches: 3 },
    ]);
  });

  it.each(BRANCHES)('keep the money together with %d branches', (branches) => {
    const amounts = Array.from({ length: branches }, (_, place) => amountAt(place, branches));
    expect(amounts.reduce((sum, amount) => sum + amount, 0)).toBe(0);
  });

  it('are asked for as their protocol says', () => {
    const body = (protocol: ProtocolName, branches: number): unknown =>
      JSON.parse(transactionBody({ protocol, branches }, 'x'));
    expect(body('3pc', 3)).toEqual({
      protocol: '3pc',
      branches: [
        { participant: 'bank-a', operation: 'debit', payload: { account: 'x', amount: 2 } },
        { participant: 'bank-b', operation: 'credit', payload: { account: 'x', amount: 1 } },
        { participant: 'bank-c', operation: 'credit', payload: { account: 'x', amount: 1 } },
      ],
    });
    expect(body('one-phase', 1)).toEqual({
      protocol: '2pc',
      branches: [{ participant: 'bank-a', operation: 'credit', payload: { account: 'x', amount: 1 } }],
    });
    expect(body('read-only', 1)).toEqual({
      protocol: '2pc',
      branches: [{ participant: 'bank-a', operation: 'read', payload: { account: 'x' } }],
    });
  });

  it('never share an account between clients, and use one again only after all others', () => {
    const turns = new AccountTurns(64);
    const seen = Array.from({ length: 64 }, (_, client) =>
      Array.from({ length: 156 }, () => turns.next(client)),
    ).flat();
    expect(new Set(seen).size).toBe(64 * 156);
    expect(turns.next(7)).toBe('bench-7');
  });
});

describe('figures', () => {
  it('are medians, and ratios those of the rounds', () => {
    const one: CellRounds = {
      ...rounds('2pc', 2, [100, 300, 200]),
      bound: [measured(1000), measured(600), measured(1000)],
    };
    expect(figuresOf(one)).toMatchObject({ perSecond: 200, boundPerSecond: 1000, ratio: 0.2, cpuMs: 2 });
  });

  it('count aborts of all rounds by reason', () => {
    const abortive = { ...measured(1), aborted: { LOCK_TIMEOUT: 2 } };
    const one = { ...rounds('2pc', 2, [1, 1]), system: [abortive, abortive] };
    expect(figuresOf(one).aborted).toEqual({ LOCK_TIMEOUT: 4 });
  });

  it('compare two kinds round by round, where both were measured', () => {
    const all = [rounds('one-phase', 1, [300, 400]), rounds('2pc', 2, [100, 100])];
    const compare = (below: Cell): number | undefined =>
      compareKinds(all, 1, { protocol: 'one-phase', branches: 1 }, below, 'perSecond');
    expect(compare({ protocol: '2pc', branches: 2 })).toBe(3);
    expect(compare({ protocol: '2pc', branches: 3 })).toBeUndefined();
  });

  it('give what a branch costs, by time, bound and CPU', () => {
    const figures = BRANCHES.map((branches) => figuresOf(rounds('2pc', branches, [1000 / (4 + 2 * branches)])));
    const [cost] = branchCosts(figures);
    expect(cost!.time!.slope).toBeCloseTo(2);
    expect(cost!.time!.rSquared).toBeCloseTo(1);
    expect(cost!.boundTime!.slope).toBeCloseTo(0);
    expect(cost!.cpu!.slope).toBeCloseTo(1);
  });

  it('leave out of the line what committed nothing', () => {
    const [cost] = branchCosts(
      [2, 3, 5].map((branches) => figuresOf(rounds('2pc', branches, [branches === 5 ? 0 : 10]))),
    );
    expect(cost!.time!.slope).toBe(0);
  });
});

describe('the report', () => {
  const all = [
    rounds('one-phase', 1, [190]),
    ...BRANCHES.map((branches) => rounds('2pc', branches, [1000 / (4 + 3 * branches)])),
    ...BRANCHES.map((branches) => rounds('3pc', branches, [1000 / (8 + branches * branches)])),
  ];
  const before = [
    { workload: 'transfer' as const, file: 'transfer-x.json', clients: 1, perSecond: 100, p50Ms: 10, ratio: 0.12 },
  ];
  const of = (measurements: readonly CellRounds[], link: Link = 'kafka'): ProtocolsMeasurement => ({
    link,
    rounds: measurements,
  });
  const verdicts = (measurements: readonly CellRounds[]): Record<string, boolean> =>
    Object.fromEntries(protocolsReport(of(measurements), before).targets.map(({ what, met }) => [what, met]));

  it('judges every target', () => {
    expect(verdicts(all)).toEqual({
      '3PC / 2PC of three branches, p50 at 1 client': true, // 17 ms to 13
      'one phase / 2PC of two branches, throughput at 1 client': true, // 190 to 100
      "2PC's share of the bound / its share in the last transfer at 1 client": false, // 0.10 to 0.12
      '2pc, cost per branch linear at 1 client: R²': true,
      '2pc, cost per branch linear at 1 client: bend': true,
      '3pc, cost per branch linear at 1 client: R²': true,
      '3pc, cost per branch linear at 1 client: bend': false,
    });
  });

  it('misses what is too slow', () => {
    const slow = [
      rounds('one-phase', 1, [170]),
      rounds('2pc', 2, [100]),
      rounds('2pc', 3, [100]),
      rounds('3pc', 3, [49]),
    ];
    expect(verdicts(slow)).toMatchObject({
      '3PC / 2PC of three branches, p50 at 1 client': false,
      'one phase / 2PC of two branches, throughput at 1 client': false,
    });
  });

  it('says which targets could not be measured', () => {
    const report = protocolsReport(of(all.filter(({ cell }) => cell.protocol !== '3pc')), []);
    expect(report.notMeasured).toEqual([
      '3PC / 2PC of three branches, p50 at 1 client',
      "2PC's share of the bound / its share in the last transfer at 1 client",
    ]);
    const text = protocolsText(report);
    expect(text).toContain('not measured: 3PC / 2PC of three branches, p50 at 1 client');
    expect(text).toContain('no earlier result');
  });

  it('puts the links beside each other', () => {
    const reports = [
      protocolsReport(of([rounds('2pc', 2, [100])], 'kafka'), before),
      protocolsReport(of([rounds('2pc', 2, [300])], 'direct'), before),
    ];
    const lines = linksText(reports).split('\n');
    expect(lines.at(-3)).toMatch(/clients +raw\/s +kafka\/s +ratio +p50 ms +direct\/s +ratio +p50 ms/);
    expect(lines.at(-1)).toMatch(/2pc, 2 branches +1 +1000 +100 +0\.10 +10\.00 +300 +0\.30 +3\.33/);
    expect(linksText(reports.slice(1))).toBe('');
  });

  it('marks rows that were disturbed', () => {
    const disturbed = { foreignShare: 0.2, doubts: ['foreign-cpu' as const], attempts: 3 };
    const text = protocolsText(protocolsReport(of([{ ...rounds('2pc', 2, [1]), conditions: [disturbed] }]), before));
    expect(text).toContain('20.0 %!');
  });

  it('doubts itself after aborts, and not without', () => {
    const abortive = { ...measured(1), aborted: { NO_LEADER: 2 } };
    const text = protocolsText(protocolsReport(of([{ ...rounds('2pc', 2, [1]), system: [abortive] }]), before));
    expect(text).toContain('2pc, 2 branches, 1 clients: 2 NO_LEADER');
    expect(protocolsText(protocolsReport(of(all), before))).not.toContain('DOUBTFUL');
  });

  it('calls no cost linear by two points', () => {
    const { notMeasured } = protocolsReport(of([rounds('2pc', 2, [100]), rounds('2pc', 3, [90])]), before);
    expect(notMeasured).toContain('2pc, cost per branch linear at 1 client: R²');
  });
});

describe('earlier results', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'bench-earlier-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const write = (file: string, content: unknown): void =>
    writeFileSync(path.join(directory, file), JSON.stringify(content));

  it('are those of both workloads, the newest of each first', () => {
    const kafka = (comparison: object): object => ({ systems: [{ link: 'kafka', comparisons: [comparison] }] });
    write('transfer-2025-12-31.json', kafka({ clients: 1, systemPerSecond: 9, systemP50Ms: 22, ratio: 0.2 }));
    write('transfer-2026-01-01.json', kafka({ clients: 1, systemPerSecond: 10, systemP50Ms: 20, ratio: 0.1, raw: [] }));
    const figures = [
      { cell: { protocol: '2pc', branches: 2 }, clients: 64, perSecond: 11, p50Ms: 21, ratio: 0.2 },
      { cell: { protocol: '2pc', branches: 3 }, clients: 64, perSecond: 9, p50Ms: 30, ratio: 0.3 },
    ];
    const systems = [
      { link: 'direct', figures: [] },
      { link: 'kafka', figures },
    ];
    write('protocols-2026-02-02.json', { systems });
    write('memory-2026-03-03.json', []);
    mkdirSync(path.join(directory, 'system'));
    expect(earlierFigures(directory, 'direct')).toEqual([]);
    expect(earlierFigures(directory, 'kafka')).toEqual([
      { workload: 'transfer', file: 'transfer-2026-01-01.json', clients: 1, perSecond: 10, p50Ms: 20, ratio: 0.1 },
      { workload: 'transfer', file: 'transfer-2025-12-31.json', clients: 1, perSecond: 9, p50Ms: 22, ratio: 0.2 },
      { workload: 'protocols', file: 'protocols-2026-02-02.json', clients: 64, perSecond: 11, p50Ms: 21, ratio: 0.2 },
    ]);
  });

  it('tell nothing where their shape is another, or where there are none', () => {
    write('transfer-2026-01-01.json', { version: 0 });
    write('protocols-2026-01-01.json', []);
    expect(earlierFigures(directory, 'kafka')).toEqual([]);
    expect(earlierFigures(path.join(directory, 'nowhere'), 'kafka')).toEqual([]);
  });
});

describe('branches in doubt', () => {
  const MOMENT = Date.UTC(2026, 0, 1);
  const gid = (begun: number): string => {
    const time = begun.toString(16).padStart(12, '0');
    return `concordat:local:${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000:11111111-1111-4111-8111-111111111111`;
  };
  const branch = (begun: number, preparedAtMs: number) => ({ gid: gid(begun), preparedAtMs });

  it('tell by their gid when their transaction began', () => {
    expect(begunAtMs(gid(MOMENT))).toBe(MOMENT);
  });

  it('are followed until the last of before the moment has gone', () => {
    const watch = new DisappearanceWatch(MOMENT, 1_000);
    watch.saw([branch(MOMENT - 5, MOMENT - 2), branch(MOMENT - 9, MOMENT - 1)], 3);
    watch.saw([branch(MOMENT - 5, MOMENT - 2), branch(MOMENT + 5, MOMENT + 7)], 20);
    watch.saw([branch(MOMENT + 5, MOMENT + 7)], 400);
    watch.saw([], 800);
    expect(watch.result(1_399)).toBeUndefined();
    expect(watch.result(1_400)).toEqual({ inDoubt: 2, preparedBeforeMs: 400, begunBeforeMs: 400 });
  });

  it('count when they were prepared late for a transaction of before', () => {
    const watch = new DisappearanceWatch(MOMENT, 1_000);
    watch.saw([], 3);
    watch.saw([branch(MOMENT - 5, MOMENT + 300)], 310);
    expect(watch.result(5_000)).toBeUndefined();
    watch.saw([], 600);
    expect(watch.result(1_600)).toEqual({ inDoubt: 0, preparedBeforeMs: 3, begunBeforeMs: 600 });
  });

  it('are not over before anybody has looked', () => {
    expect(new DisappearanceWatch(MOMENT, 0).result(10)).toBeUndefined();
  });
});
