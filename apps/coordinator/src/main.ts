import { EXIT, ProcessLogger, formatAddress, formatProblems, guarded, startFailure } from '@concordat/foundation';
import { createCoordinator } from './bootstrap.js';
import { formatHelp, parseConfig, type Config } from './config.js';
import { EngineModule } from './engine.module.js';
import { Lifecycle } from './lifecycle.js';

async function start(config: Config): Promise<void> {
  const logger = new ProcessLogger({
    scope: 'coordinator',
    level: config.logLevel,
    format: config.logFormat,
    node: config.nodeId,
  });
  const lifecycle = new Lifecycle(logger, { exit: (code) => process.exit(code) });
  const die = (error: unknown): void => {
    logger.error('an uncaught error stops the node', error);
    process.exit(EXIT.software);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(
      signal,
      guarded(() => lifecycle.stop(signal), die),
    );
  }
  const onFatal = (error: Error): void => {
    logger.error('the node cannot continue', error);
    process.exit(EXIT.failed);
  };
  try {
    const app = await createCoordinator({ config, logger, onFatal, engine: EngineModule.register() });
    lifecycle.started(app);
    await app.init();
    // not Nest's own listen, which logs the failure before it is reported here in one sentence
    await app.getHttpAdapter().getInstance().listen({ host: config.http.host, port: config.http.port });
    logger.info(`node ${config.nodeId} of cluster ${config.clusterName}: REST at http://${formatAddress(config.http)}`);
  } catch (error) {
    process.stderr.write(`${startFailure('coordinator', error, config.http)}\n`);
    process.exit(EXIT.failed);
  }
}

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  process.stdout.write(formatHelp());
} else {
  const result = parseConfig(process.env);
  if (result.ok) {
    await start(result.config);
  } else {
    process.stderr.write(`${formatProblems(result.problems)}\n`);
    process.exitCode = EXIT.configuration;
  }
}
