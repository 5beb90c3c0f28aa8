import type { Import } from './import-graph.js';
import { IMPORT_TABLE, isListed, isTestCode, layerOf } from './import-table.js';

export interface Breach {
  readonly file: string;
  readonly message: string;
}

/** What the table and the rules for everybody forbid. */
export function checkImports(
  files: readonly string[],
  imports: readonly Import[],
  publicFiles: ReadonlyMap<string, string>,
): Breach[] {
  const breaches: Breach[] = [];
  for (const item of imports) {
    const message = refusal(item, new Set(publicFiles.values()));
    if (message) breaches.push({ file: item.from, message: `imports ${item.specifier}: ${message}` });
  }
  for (const file of files) {
    if (isTestCode(file) || layerOf(file)) continue;
    breaches.push({ file, message: 'belongs to no layer; give it a row in test/architecture/import-table.ts' });
  }
  for (const circle of cyclesIn(files, imports)) {
    for (const file of circle) breaches.push({ file, message: `imports itself in a circle: ${circle.join(', ')}` });
  }
  return breaches;
}

function refusal({ from, specifier, to }: Import, publicFiles: ReadonlySet<string>): string | undefined {
  if (to === undefined) return isTestCode(from) ? undefined : packageRefusal(from, packageOf(specifier));
  const isOther = homeOf(from) !== homeOf(to);
  if (isTestCode(to) && !isTestCode(from)) return 'shipped code never imports code for tests';
  if (isOther) {
    if (specifier.startsWith('.') && to.startsWith('libs/')) return 'a library is imported by its public name';
    if (to.startsWith('libs/') && !publicFiles.has(to)) return 'a library is imported by its public name only';
    if (to.startsWith('apps/') && !mayImportApp(from, to))
      return 'an app is known by its processes and ports; tests use its index.ts';
  }
  return isTestCode(from) ? undefined : layerRefusal(from, to);
}

/** Tests, the command that runs a coordinator in its own process, and the library that runs one inside of tests. */
function mayImportApp(from: string, to: string): boolean {
  if (isTestCode(from)) return to.endsWith('/index.ts');
  if (from.startsWith('libs/testing/')) return to === 'apps/coordinator/src/embedded/index.ts';
  return from.startsWith('apps/cli/') && to === 'apps/coordinator/src/service/index.ts';
}

function packageRefusal(from: string, name: string): string | undefined {
  const layer = layerOf(from);
  if (!layer || isListed(layer.packages, name)) return undefined;
  return `${layer.name} may import ${layer.packages.length > 0 ? `of packages ${layer.packages.join(', ')}` : 'no package'}`;
}

function layerRefusal(from: string, to: string): string | undefined {
  const [layer, target] = [layerOf(from), layerOf(to)];
  if (!layer || !target || layer === target || isListed(layer.layers, target.name)) return undefined;
  return `${layer.name} does not know ${target.name}; it may import ${layer.layers.join(', ') || 'nothing'}`;
}

/** Permissions of the table that no import makes use of: they are to go. */
export function unusedPermissions(imports: readonly Import[], table = IMPORT_TABLE): string[] {
  const shipped = imports.filter(({ from }) => !isTestCode(from));
  return table.flatMap((layer) => {
    const own = shipped.filter(({ from }) => layerOf(from, table) === layer);
    const packages = own.filter(({ to }) => to === undefined).map(({ specifier }) => packageOf(specifier));
    const layers = own.flatMap(({ to }) => (to === undefined ? [] : [layerOf(to, table)?.name ?? '']));
    return [
      ...layer.layers.filter((item) => !layers.some((name) => isListed([item], name))),
      ...layer.packages.filter((item) => !packages.some((name) => isListed([item], name))),
    ].map((item) => `${layer.name}: ${item}`);
  });
}

/** The library, app or other folder that a file belongs to. */
function homeOf(file: string): string {
  const [top = '', name = ''] = file.split('/');
  return top === 'libs' || top === 'apps' ? `${top}/${name}` : 'test';
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Groups of files that all reach each other by imports (Tarjan's strongly connected components). */
export function cyclesIn(files: readonly string[], imports: readonly Import[]): string[][] {
  const targets = new Map<string, string[]>(files.map((file) => [file, []]));
  for (const { from, to } of imports) if (to !== undefined && targets.has(to)) targets.get(from)?.push(to);
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string): number => {
    const number = order.size;
    order.set(file, number);
    lowest.set(file, number);
    open.push(file);
    for (const target of targets.get(file) ?? []) {
      if (order.has(target) && !open.includes(target)) continue;
      lowest.set(file, Math.min(lowest.get(file)!, order.get(target) ?? visit(target)));
    }
    if (lowest.get(file) === number) {
      const circle = open.splice(open.indexOf(file));
      if (circle.length > 1 || targets.get(file)?.includes(file)) circles.push(circle);
    }
    return lowest.get(file)!;
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return circles;
}
