// The health check of the image: exit code 0 while the coordinator of this container is alive. It reads the
// coordinator's variables to find the address.
import { readFileSync } from 'node:fs';
import { livenessProblem, tlsFetch } from '@concordat/foundation';
import { parseConfig, type Config } from './config.js';

const result = parseConfig(process.env);
const problem = result.ok
  ? await livenessProblem(result.config.http, secureFetch(result.config))
  : "The coordinator's environment is not valid; its log says why.";
if (problem !== undefined) console.error(problem);
process.exitCode = problem === undefined ? 0 : 1;

/** It asks this machine itself, whose certificate need not name it. */
function secureFetch({ tls }: Config): typeof globalThis.fetch | undefined {
  if (!tls) return undefined;
  const [cert, key] = [readFileSync(tls.paths.certificate), readFileSync(tls.paths.key)];
  return tlsFetch(() => ({ cert, key, rejectUnauthorized: false }));
}
