import type { Bar, Table } from '../report.js';
import { foreignText } from '../rows/steady-row.js';
import { median } from '../statistics.js';
import type { Comparison } from './comparison.js';
import type { SystemComparisons } from './tables.js';

/** A secured system beside a plain one on the same road. Ratios are those of neighbours in time, round by round. */
export interface SecuredComparison {
  readonly link: string;
  readonly clients: number;
  readonly plain: Comparison;
  readonly secured: Comparison;
  /** secured over plain */
  readonly throughputRatio: number;
  readonly p50Ratio: number;
}

/** @param compared pairs of a plain and a secured system */
export function securedComparisons(compared: readonly SystemComparisons[]): SecuredComparison[] {
  return compared.flatMap((one, place) => {
    const other = compared[place + 1];
    if (place % 2 === 1 || !other) return [];
    return one.comparisons.map((plain, row) => compare(one.link, plain, other.comparisons[row]!));
  });
}

function compare(link: string, plain: Comparison, secured: Comparison): SecuredComparison {
  const ratio = (field: 'perSecond' | 'p50Ms'): number =>
    median(
      secured.system.map(
        ({ value }, round) => value.measurement[field] / plain.system[round]!.value.measurement[field],
      ),
    );
  const { clients } = plain;
  return { link, clients, plain, secured, throughputRatio: ratio('perSecond'), p50Ratio: ratio('p50Ms') };
}

export function securedTable(rows: readonly SecuredComparison[]): Table {
  const header = ['link', 'clients', 'plain/s', 'secured/s', 'ratio', 'plain p50 ms', 'secured p50 ms', 'p50 ratio', 'plain CPU ms', 'secured CPU ms', 'aborts', 'foreign']; // prettier-ignore
  return {
    header,
    rows: rows.map(({ link, clients, plain, secured, throughputRatio, p50Ratio }) => [
      link,
      String(clients),
      plain.systemPerSecond.toFixed(0),
      secured.systemPerSecond.toFixed(0),
      throughputRatio.toFixed(3),
      plain.systemP50Ms.toFixed(2),
      secured.systemP50Ms.toFixed(2),
      p50Ratio.toFixed(2),
      cpuMsOf(plain).toFixed(2),
      cpuMsOf(secured).toFixed(2),
      String([plain, secured].flatMap(({ aborted }) => Object.values(aborted)).reduce((sum, count) => sum + count, 0)),
      foreignText([...plain.system, ...secured.system]),
    ]),
  };
}

export function securedBars(rows: readonly SecuredComparison[]): Bar[] {
  return rows.flatMap(({ link, clients, plain, secured }) => [
    { label: `${link}, plain, ${clients} clients`, value: plain.systemPerSecond },
    { label: `${link}, secured, ${clients} clients`, value: secured.systemPerSecond },
  ]);
}

function cpuMsOf({ perTransfer }: Comparison): number {
  return Object.values(perTransfer).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}
