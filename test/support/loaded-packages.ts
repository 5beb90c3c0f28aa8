import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Packages of which a process has loaded a file. It ran with this directory as `NODE_V8_COVERAGE`, into which Node.js
 * writes at the end of a process what it has loaded, and has ended.
 */
export function loadedPackages(directory: string): ReadonlySet<string> {
  const urls = readdirSync(directory).flatMap((name) => {
    const { result } = JSON.parse(readFileSync(path.join(directory, name), 'utf8')) as Coverage;
    return result.map(({ url }) => url);
  });
  const packages = urls.map((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]);
  return new Set(packages.filter((name) => name !== undefined));
}

interface Coverage {
  readonly result: readonly { readonly url: string }[];
}
