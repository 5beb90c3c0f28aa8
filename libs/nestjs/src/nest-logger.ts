import { Logger as NestLogger } from '@nestjs/common';
import type { Logger } from '@concordat/foundation';

/** Nest's logger, under the name of this library. */
export function nestLogger(): Logger {
  const logger = new NestLogger('Concordat');
  return {
    debug: (message) => logger.debug(message),
    info: (message) => logger.log(message),
    warn: (message) => logger.warn(message),
    error: (message, error) => logger.error(message, error instanceof Error ? error.stack : undefined),
  };
}
