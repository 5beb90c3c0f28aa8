import { hostname } from 'node:os';
import type { DynamicModule } from '@nestjs/common';
import { ConcordatModule, kafkaSecurityOptions, tlsFiles, type ConcordatOptions } from '@concordat/nestjs';
import type { ArmableFailpoints, ProcessLogger } from '@concordat/foundation';
import { DataSource } from 'typeorm';

import type { Settings } from './settings.js';
import { FAILPOINTS, LOGGER } from './tokens.js';

/** The one import that makes a service a participant of global transactions. */
export function concordatModule(
  participant: string,
  settings: Settings,
  propagateTo: readonly string[] = [],
): DynamicModule {
  const { cluster, coordinators, link, kafkaBrokers: brokers, http, tls, kafkaSecurity, signatures } = settings;
  // the same after a restart, so that the process gets its partitions back at once
  const instance = `${participant}-${hostname()}-${http.port}`;
  return ConcordatModule.forRootAsync({
    inject: [DataSource, LOGGER, FAILPOINTS],
    useFactory: (
      postgres: DataSource,
      logger: ProcessLogger,
      failpoints: ArmableFailpoints | undefined,
    ): ConcordatOptions => ({
      participant,
      instance,
      cluster,
      coordinators,
      link,
      kafka: {
        brokers,
        clientId: instance,
        ...kafkaSecurityOptions(kafkaSecurity, logger),
        ...(signatures && { signatures }),
      },
      ...(tls && { tls: tlsFiles(tls, logger) }),
      postgres,
      propagateTo,
      logger,
      ...(failpoints && { failpoints }),
    }),
  });
}
