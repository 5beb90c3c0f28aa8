// Brings a fresh clone to the point where everything else can run: dependencies and build. Plain Node, because
// it runs before anything is installed. Does nothing, quickly, when nothing has changed.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withLock } from './lock.mjs';
import { runNpm } from './run-npm.mjs';
import { sourceHash } from './source-hash.mjs';

const MINIMUM_NODE = [20, 19];
const root = path.resolve(import.meta.dirname, '..');
const at = (...parts) => path.join(root, ...parts);

const installStamp = at('node_modules', '.concordat-install');
const npmStamp = at('node_modules', '.package-lock.json'); // npm writes it last
const buildStamp = at('dist', '.concordat-build');
const buildInfo = at('dist', 'tsconfig.build.tsbuildinfo');
const entry = at('dist', 'apps', 'lab', 'src', 'main.js');

/** What the build reads. Tests and documents do not count: changing them needs no build. */
const BUILD_INPUTS = [
  'apps',
  'libs',
  'test/architecture',
  'test/reference',
  'test/bench',
  'test/support',
  'test/simulation',
  'test/model',
];
const BUILD_CONFIG = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'nest-cli.json'];

function fail(sentence) {
  console.error(`setup: ${sentence}`);
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantMajor, wantMinor] = MINIMUM_NODE;
  if (major > wantMajor || (major === wantMajor && minor >= wantMinor)) return;
  fail(
    `Concordat needs Node ${MINIMUM_NODE.join('.')} or newer, and this is ${process.versions.node}; install a newer one from https://nodejs.org.`,
  );
}

const textOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);
const hashOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

function isInstalled() {
  const lock = at('package-lock.json');
  const stamp = textOf(installStamp);
  if (stamp !== undefined) return stamp === hashOf(lock);
  // installed by hand (`npm ci`): npm's own stamp tells, and a half-finished installation has none
  if (!existsSync(npmStamp) || statSync(npmStamp).mtimeMs < statSync(lock).mtimeMs) return false;
  writeFileSync(installStamp, hashOf(lock));
  return true;
}

const hashOfSources = () => sourceHash(root, { folders: BUILD_INPUTS, files: BUILD_CONFIG });

function npm(args) {
  try {
    runNpm(args, root);
  } catch (error) {
    fail(error.message);
  }
}

function step(text, work) {
  const start = Date.now();
  console.log(`setup: ${text} …`);
  work();
  console.log(`setup: done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

function install() {
  step('installing dependencies (npm ci)', () =>
    npm(['ci', '--prefer-offline', '--loglevel=error', '--no-audit', '--no-fund']),
  );
  writeFileSync(installStamp, hashOf(at('package-lock.json')));
}

function build(hash) {
  // an incremental build trusts its notes: without the emitted files they are wrong
  if (!existsSync(entry)) rmSync(buildInfo, { force: true });
  rmSync(buildStamp, { force: true });
  step('building (npm run build)', () => npm(['run', 'build', '--silent']));
  if (!existsSync(entry)) fail(`the build ended without ${path.relative(root, entry)}.`);
  writeFileSync(buildStamp, hash);
}

const isBuilt = (hash) => existsSync(entry) && textOf(buildStamp) === hash;

checkNode();
if (!isInstalled() || !isBuilt(hashOfSources())) {
  await withLock(
    at('dist', '.setup.lock'),
    () => {
      // looked at again: whoever held the lock may have done it all
      if (!isInstalled()) install();
      const hash = hashOfSources();
      if (!isBuilt(hash)) build(hash);
    },
    (holder) => console.log(`setup: another set-up is running (process ${holder}); waiting for it …`),
  );
}
