import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  CompiledProgram,
  describeTotals,
  describeViolation,
  EVERY_SEED,
  hoursOf,
  runInProcess,
  runWorkers,
  sumOf,
  type RunResult,
  type Totals,
} from '@concordat/foundation/testing';
import { simulate, SYSTEM_SIMULATOR } from './simulation.js';
import { SYSTEM_PROGRAM } from './testing/program.js';

/** Of `npm run test:nightly` all, otherwise what fits into the suite. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? (process.env['CONCORDAT_NIGHTLY'] === '1' ? 364 : 84));
const REPLAYED = process.env['SIM_SEED'];
const WORKERS = 2;
const TIMEOUT_MS = 900_000;
const EVERY_ODD_END = [
  'committed',
  'RESULT_NOT_JSON',
  'RESULT_TOO_LARGE',
  'HANDLER_FAILED',
  'HANDLER_TIMEOUT',
  'INVALID_ERROR_CODE',
  'INVALID_PAYLOAD',
  'DEADLINE_EXCEEDED',
  'INVALID_TEXT',
  'INVALID_NUMBER',
  'NESTED_TOO_DEEPLY',
  'PAYLOAD_TOO_LARGE',
];
describe('the whole system in one process', () => {
  if (REPLAYED !== undefined) {
    it(`replays seed ${REPLAYED}`, async () => {
      const print = (line: string): void => void process.stdout.write(`${line}\n`);
      expect((await simulate({ seed: Number(REPLAYED), print })).violation).toBeUndefined();
    }, 300_000);
    return;
  }

  let program: CompiledProgram;
  let entry: string;
  let result: RunResult;
  let sum: Totals;

  beforeAll(async () => {
    program = await CompiledProgram.make(SYSTEM_PROGRAM);
    entry = await program.copy();
    result = await runWorkers(entry, { ...EVERY_SEED, seeds: SEEDS }, WORKERS);
    sum = sumOf(result.totals);
    process.stdout.write(`${describeTotals(result.totals)}\n`);
  }, TIMEOUT_MS);

  afterAll(() => program.remove());

  it(`keeps every rule under the faults of ${SEEDS} seeds`, () => {
    expect(result.violations.map((broken) => describeViolation(SYSTEM_SIMULATOR, {}, broken))).toEqual([]);
  });

  it('has run for many simulated hours', () => {
    const minutesPerSeed = 16;
    expect(hoursOf(sum)).toBeGreaterThanOrEqual((SEEDS * minutesPerSeed) / 60);
  });

  it('has had operators do all that they can do, and branches come back from backups', () => {
    if (SEEDS < 100) return;
    const { rulings = {}, backups = {} } = sum.counts;
    expect(Object.keys(rulings).sort()).toEqual(['branch-ruled', 'by hand', 'decided', 'forgotten', 'unknown-old']);
    expect(Math.min(...['restored', 'ancient'].map((kind) => backups[kind] ?? 0))).toBeGreaterThan(0);
  });

  it('has founded groups over what an earlier one had left prepared, and carried out elsewhere', () => {
    if (SEEDS < 100) return;
    const { backups = {}, rulings = {} } = sum.counts;
    expect(Math.min(backups['earlier'] ?? 0, backups['carriedOut'] ?? 0)).toBeGreaterThan(0);
    expect(rulings['unknown-old']).toBeGreaterThan(0);
  });

  it('has put aside what another cluster said', () => {
    if (SEEDS < 10) return;
    const { said = 0, 'put aside': putAside = 0 } = sum.counts['messages of another cluster'] ?? {};
    expect(said).toBeGreaterThan(0);
    expect(putAside).toBeGreaterThan(0);
  });

  it('has had handlers refuse, throw and hang, and commit what is only just allowed, and requests refused for a payload', () => {
    if (SEEDS < 100) return;
    expect(Object.keys(sum.counts['odd operations'] ?? {})).toEqual(expect.arrayContaining(EVERY_ODD_END));
  });

  it('has had branches held between calls, by processes that died, and several calls in one session', () => {
    if (SEEDS < 100) return;
    const { held = 0, joined = 0, died = 0 } = sum.counts['held branches'] ?? {};
    expect(Math.min(held, joined, died)).toBeGreaterThan(0);
  });

  it('has had databases fail over to standbys that lacked their last writes', () => {
    if (SEEDS >= 100) expect(sum.counts['faults']?.['asynchronous-fail-over'] ?? 0).toBeGreaterThan(0);
  });

  it('has had both protocols, and branches that decided without a coordinator', () => {
    if (SEEDS < 100) return;
    const { byCoordinators = 0, byBranches = 0, terminations = 0 } = sum.counts['ballots'] ?? {};
    expect(Math.min(byCoordinators, byBranches, terminations)).toBeGreaterThan(0);
  });

  it('has had locks granted, renewed, given back, run out and refused, clients in line, and writes kept out by their tokens', () => {
    if (SEEDS < 100) return;
    const {
      grants = 0,
      renewals = 0,
      releases = 0,
      expiries = 0,
      refusals = 0,
      fenced = 0,
      contested = 0,
    } = sum.counts['locks'] ?? {};
    expect(Math.min(grants, renewals, releases, expiries, refusals, fenced, contested)).toBeGreaterThan(0);
  });

  it(
    'is deterministic: a seed gives the same run again, in whatever process',
    async () => {
      const again = { ...EVERY_SEED, from: 3, seeds: 6 };
      expect(await runInProcess(entry, again)).toEqual(await runInProcess(entry, again));
      for (const seed of [1, 2]) expect(await simulate({ seed })).toEqual(await simulate({ seed }));
    },
    TIMEOUT_MS,
  );
});
