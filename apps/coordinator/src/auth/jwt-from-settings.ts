import type { Logger } from '@concordat/foundation';
import type { JwtSettings } from '../auth-variables.js';
import { FileKeys } from './file-keys.js';
import { JwtAuthenticator } from './jwt-authenticator.js';
import { KnownPrincipals } from './known-principals.js';
import { RemoteKeys } from './remote-keys.js';
import { wallTime } from './wall-time.js';

/**
 * For nodes that take JWTs: all that needs `jose` is reached from here.
 *
 * @throws AuthenticationSetupError
 */
export function jwtAuthenticatorFrom(
  { keys: source, ...settings }: JwtSettings,
  monotonic: () => number,
  logger: Logger,
): JwtAuthenticator {
  const keys =
    'url' in source
      ? new RemoteKeys({ url: source.url, monotonic, logger })
      : new FileKeys({ path: source.file, monotonic, logger });
  return new JwtAuthenticator({ ...settings, keys, known: new KnownPrincipals(monotonic), now: wallTime });
}
