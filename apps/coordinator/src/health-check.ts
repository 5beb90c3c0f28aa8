// The health check of the image: exit code 0 while the coordinator of this container lives. It reads the same
// variables as the coordinator, so that it asks where that listens.
import { livenessProblem } from '@concordat/foundation';
import { parseConfig } from './config.js';

const result = parseConfig(process.env);
const problem = result.ok
  ? await livenessProblem(result.config.http)
  : "The coordinator's environment is not valid; its log says why.";
if (problem !== undefined) console.error(problem);
process.exitCode = problem === undefined ? 0 : 1;
