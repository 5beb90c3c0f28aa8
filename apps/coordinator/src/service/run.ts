import {
  EXIT,
  ProcessLogger,
  formatAddress,
  formatProblems,
  guarded,
  readFilesAgainOnHangUp,
  startFailure,
  startFailureCode,
  type Tracing,
} from '@concordat/foundation';
import { createCoordinator } from '../bootstrap.js';
import { parseConfig, type Config } from '../config.js';
import { EngineModule } from '../engine.module.js';
import { Lifecycle } from '../lifecycle.js';
import { openListenerProblems, openListenerWarnings } from '../open-listeners.js';

export interface RunOptions {
  /** called when REST is served and the node has begun to look for its group */
  readonly onListening?: () => void;
  /** called before the process ends, however it ends in order */
  readonly onExit?: () => void;
  /** the process ends with its terminal; default: SIGHUP makes it read certificates, keys and tokens again */
  readonly endsOnHangUp?: true;
}

/**
 * Runs a coordinator as this process: until a signal ends it, or it cannot continue. A failure to start is one sentence
 * on standard error and exit code 1, or 78 where a setting or a file that it names is wrong.
 */
export async function runCoordinator(
  config: Config,
  { onListening, onExit, endsOnHangUp }: RunOptions = {},
): Promise<void> {
  const exit = (code: number): never => {
    onExit?.();
    process.exit(code);
  };
  const logger = new ProcessLogger({
    scope: 'coordinator',
    level: config.logLevel,
    format: config.logFormat,
    node: config.nodeId,
  });
  const lifecycle = new Lifecycle(logger, { exit });
  const die = (error: unknown): void => {
    logger.error('an uncaught error stops the node', error);
    exit(EXIT.software);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  for (const signal of ['SIGTERM', 'SIGINT', ...(endsOnHangUp ? (['SIGHUP'] as const) : [])] as const) {
    process.on(
      signal,
      guarded(() => lifecycle.stop(signal), die),
    );
  }
  if (!endsOnHangUp) readFilesAgainOnHangUp(logger);
  const onFatal = (error: Error): void => {
    logger.error('the node cannot continue', error);
    exit(EXIT.failed);
  };
  try {
    const tracing = await openTelemetryIfThere();
    const engine = EngineModule.register(tracing ? { tracing } : {});
    const app = await createCoordinator({ config, logger, onFatal, engine });
    lifecycle.started(app);
    await app.init();
    // not Nest's own listen, which logs the failure before it is reported here in one sentence
    await app.getHttpAdapter().getInstance().listen({ host: config.http.host, port: config.http.port });
    logger.info(
      `node ${config.nodeId} of cluster ${config.clusterName}: REST at ${config.tls ? 'https' : 'http'}://${formatAddress(config.http)}`,
    );
    for (const warning of openListenerWarnings(config)) logger.warn(warning);
    onListening?.();
  } catch (error) {
    process.stderr.write(`${startFailure('coordinator', error, config.http)}\n`);
    exit(startFailureCode(error));
  }
}

/**
 * Spans by the API of OpenTelemetry, where that package is installed. They go to the SDK that `node --import` has
 * registered before; without one they cost nothing.
 */
async function openTelemetryIfThere(): Promise<Tracing | undefined> {
  try {
    const { openTelemetry } = await import('@concordat/foundation/opentelemetry');
    return openTelemetry();
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    if (isMissing) return undefined;
    throw error;
  }
}

/**
 * Runs a coordinator with the settings of its environment; with wrong ones it says which, and what they may be. It does
 * not run without authentication where others than this machine reach it, unless that is said aloud.
 */
export async function runFromEnvironment(environment: NodeJS.ProcessEnv): Promise<void> {
  const result = parseConfig(environment);
  const problems = result.ok ? openListenerProblems(result.config, environment) : result.problems;
  if (result.ok && problems.length === 0) {
    await runCoordinator(result.config);
  } else {
    process.stderr.write(`${formatProblems(problems)}\n--help lists all settings.\n`);
    process.exitCode = EXIT.configuration;
  }
}
