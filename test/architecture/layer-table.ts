import { markdownTable } from '@concordat/foundation/testing';
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
  return `${markdownTable(['layer', 'layers that it may import', 'packages'], IMPORT_TABLE.map(cells))}\n`;
}

function cells({ name, layers, packages }: Layer): string[] {
  return [`\`${name}\``, code(layers), code(packages)];
}

const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ') || 'none';
