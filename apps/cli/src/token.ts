import { createApiToken, faultOfRequest } from '../../coordinator/src/service/index.js';
import type { TokenOptions } from './token-options.js';

/** Makes an API token and prints it with its line for the file of tokens; false, and why, when it cannot be made. */
export function createToken(options: TokenOptions): boolean {
  const fault = faultOfRequest(options);
  if (fault !== undefined) {
    process.stderr.write(`concordat: the token cannot be made: ${fault}.\n`);
    return false;
  }
  const { token, line } = createApiToken(options);
  process.stdout.write(`The token. It is shown only this once; give it to its bearer by a way that nobody else reads:

${token}

The line for the file that CONCORDAT_AUTH_TOKEN_FILE of every coordinator names (mode 0600). The coordinators read the
file again when it changes; the token ends when its line is removed:

${line}
`);
  return true;
}
