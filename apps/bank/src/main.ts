import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  EXIT,
  ProcessLogger,
  errorMessage,
  failpointsOfProcess,
  formatAddress,
  formatProblems,
  guarded,
  readFilesAgainOnHangUp,
  startFailure,
} from '@concordat/foundation';
import { PARTICIPANT_FAILPOINTS } from '@concordat/nestjs';
import { createBank } from './bootstrap.js';
import { parseConfig, type Config } from './config.js';

/** After this the process exits in any case: everything that matters is in the database. */
const STOP_MS = 9_000;

function stopOnSignals(
  logger: ProcessLogger,
  application: () => NestFastifyApplication | undefined,
  die: (error: unknown) => void,
): void {
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) process.exit(EXIT.stopped);
    stopping = true;
    logger.info(`${signal}: stopping`);
    setTimeout(() => process.exit(EXIT.stopped), STOP_MS).unref();
    const closed = application()?.close() ?? Promise.resolve();
    closed
      .catch((error: unknown) => logger.error(`stopping failed: ${errorMessage(error)}`, error))
      .finally(() => process.exit(EXIT.stopped));
  };
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(
      signal,
      guarded(() => stop(signal), die),
    );
  }
}

async function start(config: Config): Promise<void> {
  const logger = new ProcessLogger({ scope: config.participant, level: config.logLevel });
  let app: NestFastifyApplication | undefined;
  const die = (error: unknown): void => {
    logger.error('an uncaught error ends the process', error);
    process.exit(EXIT.software);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  stopOnSignals(logger, () => app, die);
  readFilesAgainOnHangUp(logger);
  // The participant has logged the reason; somebody must change the set-up.
  const onFatal = (): void => process.exit(EXIT.configuration);
  try {
    const { enabled, armed } = config.failpoints;
    const failpoints = enabled ? failpointsOfProcess(PARTICIPANT_FAILPOINTS, armed) : undefined;
    app = await createBank({ config, logger, failpoints, onFatal });
    // not Nest's own listen, which logs the failure before it is reported here in one sentence
    await app.getHttpAdapter().getInstance().listen({ host: config.http.host, port: config.http.port });
    await app.startAllMicroservices();
    logger.info(`${config.participant}: http://${formatAddress(config.http)}`);
  } catch (error) {
    process.stderr.write(`${startFailure('bank', error, config.http)}\n`);
    process.exit(EXIT.failed);
  }
}

const result = parseConfig(process.env);
if (result.ok) {
  await start(result.config);
} else {
  process.stderr.write(`${formatProblems(result.problems)}\n`);
  process.exitCode = EXIT.configuration;
}
