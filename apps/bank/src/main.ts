import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ArmableFailpoints, SystemClock, errorMessage, guarded, ProcessLogger } from '@concordat/foundation';
import { PARTICIPANT_FAILPOINTS } from '@concordat/nestjs';
import { createBank } from './bootstrap.js';
import { parseConfig, type Config } from './config.js';

/** From sysexits.h where it has one. */
const EXIT = { stopped: 0, failed: 1, software: 70, configuration: 78 } as const;
/** After this the process exits in any case: everything that matters is in the database. */
const STOP_MS = 9_000;

function createFailpoints({ failpoints: { enabled, armed } }: Config): ArmableFailpoints | undefined {
  if (!enabled) return undefined;
  const failpoints = new ArmableFailpoints(PARTICIPANT_FAILPOINTS, new SystemClock(), {
    kill: () => void process.kill(process.pid, 'SIGKILL'),
    pause: () => void process.kill(process.pid, 'SIGSTOP'),
  });
  failpoints.arm(armed);
  return failpoints;
}

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

function startFailure(error: unknown, { host, port }: Config['http']): string {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  if (syscall === 'listen' && code === 'EADDRINUSE') {
    return `The address ${host}:${port} is taken by another process; end that one or set CONCORDAT_HTTP to another address.`;
  }
  if (syscall === 'listen' && (code === 'EADDRNOTAVAIL' || code === 'EACCES')) {
    return `The address ${host}:${port} cannot be used on this machine (${code}); set CONCORDAT_HTTP to one that can.`;
  }
  return `The bank could not start: ${errorMessage(error)}`;
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
  // The participant has logged the reason; somebody must change the set-up.
  const onFatal = (): void => process.exit(EXIT.configuration);
  try {
    app = await createBank({ config, logger, failpoints: createFailpoints(config), onFatal });
    // not Nest's own listen, which logs the failure before it is reported here in one sentence
    await app.getHttpAdapter().getInstance().listen({ host: config.http.host, port: config.http.port });
    await app.startAllMicroservices();
    logger.info(`${config.participant}: http://${config.http.host}:${config.http.port}`);
  } catch (error) {
    process.stderr.write(`${startFailure(error, config.http)}\n`);
    process.exit(EXIT.failed);
  }
}

const result = parseConfig(process.env);
if (result.ok) {
  await start(result.config);
} else {
  process.stderr.write(`The bank cannot start:\n${result.problems.map((problem) => `  ${problem}\n`).join('')}`);
  process.exitCode = EXIT.configuration;
}
