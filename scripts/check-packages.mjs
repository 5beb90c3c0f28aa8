// Checks the packages as a registry and a compiler will see them: publint, and are-the-types-wrong with the profile
// esm-only. What a manifest must say beside that is in test/unit/packages.spec.ts.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'dist', 'packages');

/** The profile esm-only: CommonJS programs load the packages by require(esm), and no resolution older than Node 16 works. */
const IGNORED_RESOLUTIONS = ['node10', 'node16-cjs'];

/** The part of the buffer's memory that is the file. */
const bytesOf = ({ buffer, byteOffset, byteLength }) => buffer.slice(byteOffset, byteOffset + byteLength);

async function findings(tarball) {
  const data = readFileSync(path.join(folder, tarball));
  const { messages, pkg } = await publint({ pack: { tarball: bytesOf(data) }, strict: true });
  const { problems = [], types } = await checkPackage(createPackageFromTarballData(data));
  const wrong = problems.filter(({ resolutionKind }) => !IGNORED_RESOLUTIONS.includes(resolutionKind));
  const hasModules = Object.keys(pkg.exports).some((name) => name !== './package.json');
  return [
    ...messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`),
    ...wrong.map((problem) => `are-the-types-wrong: ${JSON.stringify(problem)}`),
    ...(hasModules && !types ? ['are-the-types-wrong: there are no types'] : []),
  ];
}

const { status } = spawnSync(process.execPath, [path.join(root, 'scripts', 'pack.mjs')], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
let count = 0;
for (const tarball of readdirSync(folder).filter((name) => name.endsWith('.tgz'))) {
  count += 1;
  for (const finding of await findings(tarball)) {
    console.error(`${tarball}: ${finding}`);
    process.exitCode = 1;
  }
}
console.log(`checked ${count} packages`);
