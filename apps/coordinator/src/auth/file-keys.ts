import { WatchedFile, type Logger } from '@concordat/foundation';
import { createLocalJWKSet, type CryptoKey, type JWTHeaderParameters } from 'jose';
import { parseKeyFile } from './credentials/key-file.js';
import { AuthenticationSetupError } from './errors.js';
import type { VerificationKeys } from './verification-keys.js';

export interface FileKeysOptions {
  readonly path: string;
  readonly monotonic: () => number;
  readonly logger: Logger;
  /** called when the file has brought other keys */
  readonly onChange: () => void;
}

type FindKey = (header: JWTHeaderParameters) => Promise<CryptoKey>;

/** Keys in a file. */
export class FileKeys implements VerificationKeys {
  private readonly file: WatchedFile<FindKey>;

  /** @throws AuthenticationSetupError */
  constructor({ path, monotonic, logger, onChange }: FileKeysOptions) {
    const parse = (text: string) => {
      const parsed = parseKeyFile(text);
      if (!parsed.ok) return parsed;
      const { keys, isNamed } = parsed.set;
      const find = createLocalJWKSet({ keys: [...keys] });
      // a key in PEM has no name, so the name in a token says nothing about it
      const content: FindKey = (header) => find(isNamed ? header : { ...header, kid: undefined });
      return { ok: true as const, content };
    };
    this.file = new WatchedFile<FindKey>({
      path,
      kind: 'trusted',
      parse,
      monotonic,
      logger,
      onChange,
      failure: (sentence) => new AuthenticationSetupError(sentence),
    });
  }

  keyFor(header: JWTHeaderParameters): Promise<CryptoKey> {
    return this.file.content(header);
  }
}
