import { codedError, type CodedErrorOptions } from '@concordat/foundation';

/**
 * Why a credential is refused; for the log, the audit and metrics. The sender learns it only of a token whose signature
 * is right, which its issuer has told more than that.
 */
export type RefusalReason =
  | 'missing'
  | 'ambiguous'
  | 'malformed'
  | 'unknown-token'
  | 'unknown-key'
  | 'algorithm'
  | 'signature'
  | 'expired'
  | 'not-yet-valid'
  | 'issuer'
  | 'audience'
  | 'claims'
  | 'certificate-untrusted'
  | 'certificate-expired'
  | 'certificate-revoked'
  | 'certificate-name';

const SENTENCES: Readonly<Partial<Record<RefusalReason, string>>> = {
  missing:
    'this call needs a credential: send "Authorization: Bearer <token>", or connect with a client certificate where the node takes them',
  ambiguous: 'send one Authorization header',
  expired: 'the token has expired; get a new one',
  'not-yet-valid': 'the token is not valid yet; compare the clocks of its issuer and of this node',
  issuer: 'the token is of another issuer',
  audience: 'the token is made for another audience',
  'certificate-untrusted': 'the certificate is of no authority of this cluster',
  'certificate-expired': 'the certificate has expired; get a new one',
  'certificate-revoked': 'the certificate was revoked; get a new one',
  'certificate-name': 'the certificate names no role in this cluster; the log of the node says what it lacks',
  claims: 'the token lacks a claim that this cluster needs; the log of the node says which',
};
const NO_MORE = 'the credential is not valid here; the log of the node says why';

/** The sender has not shown who it is. Its message is for the sender, `note` is for the operator. */
export class CredentialRefusedError extends codedError('UNAUTHENTICATED') {
  constructor(
    readonly reason: RefusalReason,
    /** what the log adds to the reason; never the credential or a part of it */
    readonly note?: string,
    options?: CodedErrorOptions,
  ) {
    super(SENTENCES[reason] ?? NO_MORE, options);
  }
}

/** The keys of the issuer cannot be read, so nobody can say whether the credential is valid. */
export class AuthenticationUnavailableError extends codedError('AUTHENTICATION_UNAVAILABLE', { retryable: true }) {}

/** The credentials that a node should know cannot be read at its start. */
export class AuthenticationSetupError extends codedError('AUTHENTICATION_SETUP') {}
