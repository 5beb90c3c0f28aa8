import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');

/** What runs in production: somebody may set the clock of its machine at any time. */
const SOURCES = [
  'libs/foundation',
  'libs/raft',
  'libs/commit-protocol',
  'libs/messaging',
  'libs/client',
  'libs/participant',
  'libs/nestjs',
  'libs/testing',
  'apps/coordinator',
  'apps/bank',
]
  .map((name) => `${name}/src`)
  .flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => path.join(folder, name))
      .filter(
        (file) => file.endsWith('.ts') && !/spec\.ts$|\.measure\.ts$|\/src\/(.*\/)?(testing|simulation)\//.test(file),
      ),
  );

/** Where a wall clock may be read, and what for. Durations are measured with `monotonic`, and with timers. */
const ALLOWED: Readonly<Record<string, string>> = {
  'libs/foundation/src/clock.ts': 'the port itself',
  'libs/foundation/src/certificates/client-tls-variables.ts': 'whether a certificate is valid when the process starts',
  'libs/messaging/src/kafka/security-variables.ts': 'whether a certificate is valid when the process starts',
  'apps/bank/src/database-variables.ts': 'whether a certificate is valid when the process starts',
  'libs/foundation/src/certificates/tls-option.ts': 'whether a certificate is valid at this moment',
  'libs/raft/src/transport/grpc-transport.ts': 'whether a certificate is valid at this moment',
  'libs/raft/src/transport/incoming-streams.ts': 'tells peers what the clock says, so that they can compare',
  'libs/messaging/src/kafka/security.ts': 'whether a certificate is valid at this moment',
  'libs/messaging/src/kafka/produce-request.ts': 'the time of a record in Kafka, which nobody reads',
  'libs/messaging/src/signatures/message-signatures.ts':
    'whether a key has ended, and how old an announcement is: compared with a clock of another machine (security.md)',
  'libs/participant/src/service/participant-service.ts': 'a deadline, for the resource manager',
  'libs/participant/src/global/joining.ts': 'the deadline in a context, made a bounded duration at once',
  'libs/participant/src/global/reserved-transactions.ts':
    'compared with the clock of the coordinators, for a deadline by theirs that goes to other services',
  'libs/participant/src/global/create-global-transactions.ts': 'the ids of branches, of which nothing is concluded',
  'libs/participant/src/postgres/connections/shown-certificate.ts': 'whether a certificate is valid at this moment',
  'libs/participant/src/postgres/connections/database-watch.ts':
    'which ids a lost database may have known, with the newest id that was seen',
  'libs/participant/src/checks/coordinator-facts.ts': 'compared with the clock of a coordinator, which is the purpose',
  'libs/participant/src/postgres/inspection/read-facts.ts':
    'compared with the clock of the database, which is the purpose',
  'libs/participant/src/runtime/time-left.ts':
    'deadlines of coordinators, made a duration that is bounded (operations.md)',
  'libs/participant/src/runtime/participant-runtime.ts': 'the id of an instance, of which nothing is concluded',
  'apps/coordinator/src/auth/wall-time.ts':
    'whether a credential is valid at this moment, and the time of an audit line',
  'apps/coordinator/src/debug-clock.ts': 'a clock that tests set',
  'libs/foundation/src/process-logger.ts': 'the time of a log line',
  'libs/testing/src/switches/faulty-locks.ts': 'the end of a lease that a test invents, for an answer',
  'apps/coordinator/src/transactions/clocks/log-clock.ts': 'the one that makes the time of the group out of it',
};

/** There every clock is a `LogClock`: the manager, or `Locks`, makes it, and hands out no other. */
const BY_LOG_CLOCK = ['apps/coordinator/src/transactions/', 'apps/coordinator/src/locks/'] as const;

function wallClockReads(text: string): string[] {
  return text.match(/\bDate\.now\b|\bnew Date\(\)|[cC]lock(?:\(\))?\.now\b|\bsuper\.now\(/g) ?? [];
}

function mayRead(file: string, reads: readonly string[]): boolean {
  if (file in ALLOWED) return true;
  return BY_LOG_CLOCK.some((folder) => file.startsWith(folder)) && !reads.some((read) => /Date/.test(read));
}

describe('wall clocks', () => {
  const found = SOURCES.map((file) => ({ file, reads: wallClockReads(readFileSync(path.join(root, file), 'utf8')) }));

  it('are read nowhere but where a moment is meant, and never for a duration', () => {
    expect(found.filter(({ file, reads }) => reads.length > 0 && !mayRead(file, reads))).toEqual([]);
  });

  it('are read wherever they are allowed to be', () => {
    const reading = new Set(found.flatMap(({ file, reads }) => (reads.length > 0 ? [file] : [])));
    expect(Object.keys(ALLOWED).filter((file) => !reading.has(file))).toEqual([]);
  });

  it('reach the transactions of a coordinator only through the log clock', () => {
    const manager = readFileSync(path.join(root, BY_LOG_CLOCK[0], 'transaction-manager.ts'), 'utf8');
    expect(manager.match(/dependencies\.clock\b/g)).toEqual(['dependencies.clock']);
    expect(manager).toContain('new LogClock(dependencies.clock,');
    expect(manager).toContain('this.dependencies = { ...dependencies, clock,');
    const locks = readFileSync(path.join(root, BY_LOG_CLOCK[1], 'locks.ts'), 'utf8');
    expect(locks).toContain('this.clock = new LogClock(clock,');
    expect(locks).toContain('const { clock, ages } = this;');
  });

  it('are recognized', () => {
    for (const text of [
      'Date.now() - start',
      'now: Date.now',
      'new Date()',
      'this.ports.clock.now()',
      'this.wallClock.now()',
    ])
      expect(wallClockReads(text)).toHaveLength(1);
    expect(wallClockReads('clock.monotonic(); new Date(at); performance.now()')).toEqual([]);
  });
});
