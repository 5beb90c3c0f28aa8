import { formatHelp } from './config.js';
import { runFromEnvironment } from './service/run.js';

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  process.stdout.write(formatHelp());
} else {
  await runFromEnvironment(process.env);
}
