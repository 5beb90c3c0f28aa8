import { spawnSync } from 'node:child_process';

/**
 * Runs a npm command and returns what it printed on standard output.
 *
 * @throws Error with all that it printed when it fails; on success its notices are noise
 */
export function runNpm(args, cwd) {
  const script = process.env.npm_execpath;
  const [command, first] = script?.endsWith('.js') ? [process.execPath, [script]] : ['npm', []];
  const result = spawnSync(command, [...first, ...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status === 0) return result.stdout;
  const cause = result.error?.message ?? (result.signal ? `ended by ${result.signal}` : `exit code ${result.status}`);
  throw new Error(
    `${result.stdout ?? ''}${result.stderr ?? ''}"npm ${args.join(' ')}" failed (${cause}); what it said stands above.`,
  );
}
