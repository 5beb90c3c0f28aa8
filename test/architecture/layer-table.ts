import { IMPORT_TABLE, type Layer } from './import-table.js';

const BEGIN = '<!-- made from test/architecture/import-table.ts by `npm run architecture` -->\n\n';
const END = '\n<!-- end of what is made -->';

/** The document with the table of layers as it is now. */
export function withLayerTable(document: string): string {
  const [start, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (start < 0 || end < start) throw new Error('the document has no place for the table of layers');
  return document.slice(0, start + BEGIN.length) + layerTable() + document.slice(end);
}

function layerTable(): string {
  const rows = [['layer', 'layers that it may import', 'packages'], ...IMPORT_TABLE.map(cells)];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |\n`);
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |\n`);
  return lines.join('');
}

function cells({ name, layers, packages }: Layer): string[] {
  return [`\`${name}\``, code(layers), code(packages)];
}

const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ') || 'none';
