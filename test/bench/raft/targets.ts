import { formatTable } from '../report.js';

/** A figure beside the one that it should reach. */
export interface Target {
  readonly what: string;
  readonly measured: number;
  readonly unit: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export function isMet({ measured, atLeast = -Infinity, atMost = Infinity }: Target): boolean {
  return measured >= atLeast && measured <= atMost;
}

export function targetTable(targets: readonly Target[]): string {
  const figure = (value: number, unit: string): string => `${value.toFixed(value < 100 ? 2 : 0)} ${unit}`.trim();
  const rows = targets.map((target) => [
    target.what,
    figure(target.measured, target.unit),
    [
      target.atLeast === undefined ? undefined : `≥ ${figure(target.atLeast, target.unit)}`,
      target.atMost === undefined ? undefined : `≤ ${figure(target.atMost, target.unit)}`,
    ]
      .filter((bound) => bound !== undefined)
      .join(', '),
    isMet(target) ? 'met' : 'MISSED',
  ]);
  return formatTable(['target', 'measured', 'wanted', ''], rows);
}
