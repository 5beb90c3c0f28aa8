import { describeFinding, type Finding } from '@concordat/participant';
import type { DiagnosisLine } from './line.js';

const STATUSES = ['ok', 'warning', 'failure'] as const satisfies readonly Finding['status'][];
const WIDEST_STATUS = Math.max(...STATUSES.map(({ length }) => length));

/** The gravest status; `ok` when there is nothing. */
export function worstOf(lines: readonly DiagnosisLine[]): Finding['status'] {
  return STATUSES.findLast((status) => lines.some((line) => line.status === status)) ?? 'ok';
}

/** The exit code of the command: 0 for `ok`, 1 for a warning, 2 for a failure. */
export function exitCodeOf(lines: readonly DiagnosisLine[]): number {
  return STATUSES.indexOf(worstOf(lines));
}

/** A line for each finding, below what it is about, and one that counts them. */
export function renderLines(lines: readonly DiagnosisLine[]): string {
  const rows = lines.flatMap((line, index) => {
    const row = `  ${line.status.padEnd(WIDEST_STATUS)}  ${line.name}: ${describeFinding(line)}`;
    return lines[index - 1]?.subject === line.subject ? [row] : [line.subject, row];
  });
  const [warnings, failures] = [count(lines, 'warning'), count(lines, 'failure')];
  const counts = [counted(failures, 'failure'), counted(warnings, 'warning')].join(', ');
  const total = `${counted(lines.length, 'check')}: ${counts}`;
  return `${[...rows, total].join('\n')}\n`;
}

/** One object, for programs. */
export function renderJson(lines: readonly DiagnosisLine[]): string {
  return `${JSON.stringify({ status: worstOf(lines), checks: lines }, undefined, 2)}\n`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function count(lines: readonly DiagnosisLine[], status: Finding['status']): number {
  return lines.filter((line) => line.status === status).length;
}
