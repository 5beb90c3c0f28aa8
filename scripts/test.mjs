// The whole test run, in the order in which a failure is cheapest to find. With arguments only Jest runs, and
// they are passed on to it: `npm test -- raft` runs the tests whose path contains "raft".
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const passedOn = process.argv.slice(2);

const tool = (name) => path.join(root, 'node_modules', '.bin', name);
const CHECKS = [
  ['format', tool('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['lint', tool('oxlint'), ['--type-aware', 'apps', 'libs', 'test', 'scripts']],
  ['imports', process.execPath, [path.join(root, 'dist', 'test', 'architecture', 'main.js'), 'check']],
  ['types', tool('tsc'), ['-p', 'tsconfig.json', '--noEmit']],
  ['packages', process.execPath, [path.join(root, 'scripts', 'check-packages.mjs')]],
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

const heading = (text) => console.log(`\n== ${text} ${'='.repeat(Math.max(0, 74 - text.length))}\n`);

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.error) console.error(`${command}: ${result.error.message}`);
  return result.status ?? 1;
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

/** The end-to-end tests run a real broker; better to say so before ten minutes of other tests. */
function missingForKafka() {
  const isThere = (program, flag) => spawnSync(program, [flag], { stdio: 'ignore' }).status === 0;
  if (isThere('java', '-version') && isThere('mvn', '-v')) return undefined;
  if (process.getuid?.() === 0 && isThere('apt-get', '--version')) return undefined; // the tests install both
  return 'The end-to-end tests need Java 17 and Maven for the local Kafka broker, and at least one is missing; install them (for example "sudo apt-get install default-jre-headless maven").';
}

function main(folder) {
  const missing = passedOn.length > 0 ? undefined : missingForKafka();
  if (missing !== undefined) {
    console.error(missing);
    return 1;
  }
  for (const [name, command, args] of passedOn.length > 0 ? [] : CHECKS) {
    heading(name);
    const status = run(command, args);
    if (status !== 0) {
      console.error(`\n${String(name)}: failed`);
      return status;
    }
    console.log(`${String(name)}: ok`);
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
  process.exitCode = main(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
