import { TypeOrmModule } from '@nestjs/typeorm';
import type { DynamicModule, Type } from '@nestjs/common';
import type { MigrationInterface } from 'typeorm';

const POOL_SIZE = 24;
const CONNECT_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 15_000;

/** The database of one service, with its migrations. */
export function databaseModule(
  url: string,
  service: string,
  entities: readonly Type[],
  migration: Type<MigrationInterface>,
): DynamicModule {
  return TypeOrmModule.forRoot({
    type: 'postgres',
    url,
    entities: [...entities],
    migrations: [migration],
    migrationsRun: true,
    applicationName: service,
    poolSize: POOL_SIZE,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    extra: { query_timeout: ANSWER_TIMEOUT_MS },
  });
}
