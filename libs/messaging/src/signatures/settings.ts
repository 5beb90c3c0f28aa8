export const SIGNATURE_MODES = ['off', 'warn', 'require'] as const;

/**
 * `off`: nothing is signed or checked; `warn`: everything is signed, and what is not believed is counted and delivered;
 * `require`: what is not believed becomes a dead letter.
 */
export type SignatureMode = (typeof SIGNATURE_MODES)[number];

/** How a process signs its messages over Kafka, and whom it believes. */
export interface SignatureSettings {
  readonly mode: SignatureMode;
  /** path of a file with the key that signs (mode 0600), as `concordat key create` makes it */
  readonly signingKeyFile: string;
  /**
   * path of a file with the keys of all who may speak; read again when it changes; default: the signing key file, which
   * suits one key that all processes share
   */
  readonly trustedKeysFile?: string;
}
