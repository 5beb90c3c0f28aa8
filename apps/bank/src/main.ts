import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  EXIT,
  ProcessLogger,
  endWithSignals,
  failpointsOfProcess,
  formatAddress,
  formatProblems,
  readFilesAgainOnHangUp,
  startFailure,
  startFailureCode,
} from '@concordat/foundation';
import { PARTICIPANT_FAILPOINTS } from '@concordat/nestjs';
import { createBank } from './bootstrap.js';
import { parseConfig, type Config } from './config.js';

/** After this the process exits in any case: everything that matters is in the database. */
const STOP_MS = 9_000;

async function start(config: Config): Promise<void> {
  const logger = new ProcessLogger({ scope: config.participant, level: config.logLevel });
  let app: NestFastifyApplication | undefined;
  endWithSignals({ logger, close: async () => app?.close(), stopLimitMs: STOP_MS });
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
    process.exit(startFailureCode(error));
  }
}

const result = parseConfig(process.env);
if (result.ok) {
  await start(result.config);
} else {
  process.stderr.write(`${formatProblems(result.problems)}\n`);
  process.exitCode = EXIT.configuration;
}
