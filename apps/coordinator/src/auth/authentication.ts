import type { Socket } from 'node:net';
import type { Logger, WatchedCertificates } from '@concordat/foundation';
import type { AuthSettings } from '../auth-variables.js';
import type { Authenticator, Presented } from './authenticator.js';
import { bearerOf } from './bearer.js';
import { CertificateAuthenticator } from './certificate-authenticator.js';
import type { Principal } from './credentials/principal.js';
import { CredentialRefusedError } from './errors.js';
import { TokenAuthenticator } from './token-authenticator.js';
import { wallTime } from './wall-time.js';

/** The part of a request that says who sends it. */
export interface Sender {
  readonly rawHeaders: readonly string[];
  readonly socket: Socket;
}

/** Says who sends a request, by the kinds of credentials that this node takes. */
export class Authentication {
  /** @param authenticators the first one that finds a credential of its kind decides */
  constructor(private readonly authenticators: readonly Authenticator[]) {}

  /**
   * At once for a credential that is known.
   *
   * @param beforeWork called before a new credential is verified; what it throws is thrown
   * @throws CredentialRefusedError, AuthenticationUnavailableError
   */
  identify({ rawHeaders, socket }: Sender, beforeWork: () => void = () => undefined): Principal | Promise<Principal> {
    return this.ask({ bearer: bearerOf(rawHeaders), socket, rawHeaders, beforeWork }, 0);
  }

  private ask(presented: Presented, first: number): Principal | Promise<Principal> {
    for (let index = first; index < this.authenticators.length; index++) {
      const found = this.authenticators[index]!.authenticate(presented);
      if (found instanceof Promise) return found.then((principal) => principal ?? this.ask(presented, index + 1));
      if (found !== undefined) return found;
    }
    if (presented.bearer === undefined) throw new CredentialRefusedError('missing');
    throw new CredentialRefusedError('malformed', 'a token of a kind that this node does not take');
  }
}

/** Rejects with an AuthenticationSetupError when a file of credentials cannot be used. */
export async function authenticationFrom(
  { tokenFile, jwt, certificatesOf }: AuthSettings,
  logger: Logger,
  certificates?: WatchedCertificates,
): Promise<Authentication> {
  const [now, monotonic] = [wallTime, () => performance.now()];
  const authenticators: Authenticator[] = [];
  if (tokenFile !== undefined) {
    authenticators.push(new TokenAuthenticator({ path: tokenFile, now, monotonic, logger }));
  }
  if (jwt) {
    const { jwtAuthenticatorFrom } = await import('./jwt-from-settings.js');
    authenticators.push(jwtAuthenticatorFrom(jwt, monotonic, logger));
  }
  if (certificatesOf !== undefined && certificates) {
    authenticators.push(new CertificateAuthenticator({ clusterName: certificatesOf, certificates }));
  }
  return new Authentication(authenticators);
}
