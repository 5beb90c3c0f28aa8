// The health check of the image: exit code 0 while the bank of this container is alive. It reads the bank's variables
// to find the address.
import { livenessProblem } from '@concordat/foundation';
import { parseConfig } from './config.js';

const result = parseConfig(process.env);
const problem = result.ok
  ? await livenessProblem(result.config.http)
  : "The bank's environment is not valid; its log says why.";
if (problem !== undefined) console.error(problem);
process.exitCode = problem === undefined ? 0 : 1;
