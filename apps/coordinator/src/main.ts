import { EXIT, formatProblems } from '@concordat/foundation';
import { formatHelp, parseConfig } from './config.js';
import { runCoordinator } from './service/run.js';

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  process.stdout.write(formatHelp());
} else {
  const result = parseConfig(process.env);
  if (result.ok) {
    await runCoordinator(result.config);
  } else {
    process.stderr.write(`${formatProblems(result.problems)}\n`);
    process.exitCode = EXIT.configuration;
  }
}
