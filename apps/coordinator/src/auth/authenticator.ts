import type { Socket } from 'node:net';
import type { Principal } from './credentials/principal.js';

/** What a request shows of its sender. */
export interface Presented {
  /** the token of `Authorization: Bearer`; undefined: it sent none */
  readonly bearer: string | undefined;
  /** its connection; for TLS a `TLSSocket`, with the certificate of the client */
  readonly socket: Socket;
  /** names and values of the headers as received, in turn */
  readonly rawHeaders: readonly string[];
  /** to be called before anything that takes longer than a look-up; throws when the sender gets no more of that now */
  readonly beforeWork: () => void;
}

/** One kind of credential. */
export interface Authenticator {
  /**
   * Says who sends a request, at once for a credential that it has seen before.
   *
   * @returns undefined when the request shows no credential of this kind
   * @throws CredentialRefusedError, AuthenticationUnavailableError, and what `beforeWork` throws
   */
  authenticate(presented: Presented): Principal | undefined | Promise<Principal | undefined>;
}
