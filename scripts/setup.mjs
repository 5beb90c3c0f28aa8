// Brings a fresh clone to the point where everything else can run: dependencies and build. Plain Node, because
// it runs before anything is installed. Does nothing, quickly, when nothing has changed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withLock } from './lock.mjs';

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

function* sourcesUnder(folder) {
  if (!existsSync(folder)) return;
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, item.name);
    if (item.isDirectory()) yield* sourcesUnder(full);
    else if (!/\.(spec|e2e-spec|sim-spec)\.tsx?$/.test(item.name)) yield full;
  }
}

/** A hash over names and contents: unlike times it survives `git checkout` and notices a deleted file. */
function sourceHash() {
  const hash = createHash('sha256');
  const files = [
    ...BUILD_CONFIG.map((name) => at(name)),
    ...BUILD_INPUTS.flatMap((name) => [...sourcesUnder(at(name))]),
  ];
  for (const file of files.sort()) {
    if (!existsSync(file)) continue;
    hash
      .update(`${path.relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}

/** Runs a npm command. Its output is shown only when it fails: what it says on success is noise here. */
function npm(args) {
  const script = process.env.npm_execpath;
  const [command, first] = script?.endsWith('.js') ? [process.execPath, [script]] : ['npm', []];
  const result = spawnSync(command, [...first, ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  const cause = result.error?.message ?? (result.signal ? `ended by ${result.signal}` : `exit code ${result.status}`);
  fail(`"npm ${args.join(' ')}" failed (${cause}); what it said stands above.`);
}

function step(text, work) {
  const start = Date.now();
  console.log(`setup: ${text} …`);
  work();
  console.log(`setup: done in ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

function install() {
  step('installing dependencies (npm ci)', () => npm(['ci', '--loglevel=error', '--no-audit', '--no-fund']));
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
if (!isInstalled() || !isBuilt(sourceHash())) {
  await withLock(
    at('dist', '.setup.lock'),
    () => {
      // looked at again: whoever held the lock may have done it all
      if (!isInstalled()) install();
      const hash = sourceHash();
      if (!isBuilt(hash)) build(hash);
    },
    (holder) => console.log(`setup: another set-up is running (process ${holder}); waiting for it …`),
  );
}
