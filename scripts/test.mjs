// The whole test run, in the order in which a failure is cheapest to find. With arguments only Jest runs, and
// they are passed on to it: `npm test -- raft` runs the tests whose path contains "raft".
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const passedOn = process.argv.slice(2);

const tool = (name) => path.join(root, 'node_modules', '.bin', name);
/** The longest first: several run at a time. */
const CHECKS = [
  ['format', tool('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['types', tool('tsc'), ['-p', 'tsconfig.json', '--noEmit']],
  ['packages', process.execPath, [path.join(root, 'scripts', 'check-packages.mjs')]],
  ['lint', tool('oxlint'), ['--type-aware', 'apps', 'libs', 'test', 'scripts']],
  ['imports', process.execPath, [path.join(root, 'dist', 'test', 'architecture', 'main.js'), 'check']],
];
/** Each file leaves its modules in the memory of its worker; above this, a new one begins. */
const WORKER_MEMORY = '--workerIdleMemoryLimit=1GB';
/**
 * Unit tests use every core. The simulations start processes of their own, one for each core; models and fuzz tests run
 * in the worker itself, beside them. End-to-end tests start servers and brokers, and wait half of the time: two files at a time, or a small machine drowns.
 */
const PROJECTS = [
  { project: 'unit', extra: ['--maxWorkers=100%', WORKER_MEMORY] },
  { project: 'simulation', extra: ['--maxWorkers=2'] },
  { project: 'e2e', extra: ['--maxWorkers=2', WORKER_MEMORY] },
];

/** Checks at a time: most of them use one core. */
const CHECKS_AT_ONCE = Math.max(2, os.availableParallelism());

const heading = (text) => console.log(`\n== ${text} ${'='.repeat(Math.max(0, 74 - text.length))}\n`);

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error) console.error(`${command}: ${result.error.message}`);
  return result.status ?? 1;
}

/** Runs a check to its end, and then shows what it printed. Resolves with its exit status. */
function runCheck([name, command, args]) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => (output += `${command}: ${error.message}\n`));
    child.on('close', (status) => {
      heading(name);
      process.stdout.write(output);
      console.log(`${name}: ${status === 0 ? 'ok' : 'failed'}`);
      done(status ?? 1);
    });
  });
}

/** All of them, so that one run shows every complaint. Resolves with the status of one that failed, or 0. */
async function runChecks() {
  const left = [...CHECKS];
  let status = 0;
  const work = async () => {
    for (let check = left.shift(); check !== undefined; check = left.shift()) {
      const result = await runCheck(check);
      if (result !== 0) status = result;
    }
  };
  await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, work));
  return status;
}

function runJest(project, extra, totals, resultsFile) {
  const jest = path.join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const status = run(process.execPath, [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    jest,
    '--selectProjects',
    project,
    '--json',
    `--outputFile=${resultsFile}`,
    ...extra,
    ...(passedOn.length > 0 ? ['--passWithNoTests', ...passedOn] : []),
  ]);
  if (existsSync(resultsFile)) {
    const results = JSON.parse(readFileSync(resultsFile, 'utf8'));
    totals.passed += results.numPassedTests;
    // a file that could not even be loaded has no failed tests, and must not look like success
    totals.failed += results.numFailedTests + results.numRuntimeErrorTestSuites;
  }
  return status;
}

/** The end-to-end tests run a real broker; better to say so before anything is installed, built or tested. */
function missingForKafka() {
  const isThere = (program, flag) => spawnSync(program, [flag], { stdio: 'ignore' }).status === 0;
  if (isKafkaJava(spawnSync('java', ['-version'], { encoding: 'utf8' })) && isThere('mvn', '-v')) return undefined;
  if (process.getuid?.() === 0 && isThere('apt-get', '--version')) return undefined; // the tests install both
  return 'The end-to-end tests need Java 17 or later and Maven for the local Kafka broker, and at least one is missing; install them (for example "sudo apt-get install default-jre-headless maven").';
}

/** Java before 9 was called 1.8. */
const isKafkaJava = ({ status, stderr }) => status === 0 && Number(/ version "(?:1\.)?(\d+)/.exec(stderr)?.[1]) >= 17;

async function main(folder) {
  const missing = passedOn.length > 0 ? undefined : missingForKafka();
  if (missing !== undefined) {
    console.error(missing);
    return 1;
  }
  const setUp = run(process.execPath, [path.join(root, 'scripts', 'setup.mjs')]);
  if (setUp !== 0) return setUp;
  if (passedOn.length === 0) {
    const failed = await runChecks();
    if (failed !== 0) return failed;
  }
  const totals = { passed: 0, failed: 0 };
  let status = 0;
  for (const { project, extra } of PROJECTS) {
    heading(project);
    status = runJest(project, extra, totals, path.join(folder, `${project}.json`));
    if (status !== 0) break;
  }
  console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
  return status;
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'concordat-test-'));
try {
  process.exitCode = await main(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
