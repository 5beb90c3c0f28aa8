import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface Bar {
  readonly label: string;
  readonly value: number;
}

export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

let isMarkdown = false;

/** From now on tables are Markdown, ready to be pasted into a document. */
export function writeMarkdown(): void {
  isMarkdown = true;
}

/** A line above a table. */
export function heading(text: string): string {
  return isMarkdown ? `### ${text}\n` : text;
}

/** Lines up columns; the first is left-aligned, numbers to the right. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return isMarkdown ? markdownTable({ header, rows }) : plainTable({ header, rows });
}

function plainTable({ header, rows }: Table): string {
  const widths = columnWidths({ header, rows });
  const line = (cells: readonly string[]): string => padded(cells, widths).join('  ');
  return [line(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** As prettier writes it, so that a pasted table stays as it is. */
function markdownTable({ header, rows }: Table): string {
  const widths = columnWidths({ header, rows }).map((width) => Math.max(3, width));
  const line = (cells: readonly string[]): string => `| ${padded(cells, widths).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(header), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

function columnWidths({ header, rows }: Table): number[] {
  return header.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)));
}

function padded(cells: readonly string[], widths: readonly number[]): string[] {
  return cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)));
}

/**
 * Writes `<directory>/<workload>-<time>.json` and `.svg`; returns their paths.
 * @param unit what the lengths of the bars mean
 */
export function writeResults(
  directory: string,
  workload: string,
  result: unknown,
  bars: readonly Bar[],
  unit: string,
): string[] {
  mkdirSync(directory, { recursive: true });
  const stamp = new Date().toISOString().replace(/[:.]/g, '-');
  const base = path.join(directory, `${workload}-${stamp}`);
  writeFileSync(`${base}.json`, `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(`${base}.svg`, barChart(`concordat: ${workload}, ${unit}`, bars));
  return [`${base}.json`, `${base}.svg`];
}

function barChart(title: string, bars: readonly Bar[]): string {
  const rowHeight = 28;
  const labelWidth = 190;
  const barWidth = 420;
  const height = 50 + bars.length * rowHeight;
  const largest = Math.max(1, ...bars.map(({ value }) => value));
  const rows = bars.map(({ label, value }, row) => {
    const y = 40 + row * rowHeight;
    const width = Math.max(1, (value / largest) * barWidth);
    return (
      `<text x="${labelWidth - 8}" y="${y + 15}" text-anchor="end">${label}</text>` +
      `<rect x="${labelWidth}" y="${y}" width="${width.toFixed(1)}" height="20" fill="${label.startsWith('raw') ? '#9aa5b1' : '#2f6fde'}"/>` +
      `<text x="${(labelWidth + width + 6).toFixed(1)}" y="${y + 15}">${value.toFixed(0)}</text>`
    );
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${labelWidth + barWidth + 80}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>` +
    `<text x="12" y="22" font-size="15">${title}</text>${rows.join('')}</svg>\n`
  );
}
