import { WatchedFile, type Logger } from '@concordat/foundation';
import type { JWTHeaderParameters } from 'jose';
import { parseKeyFile } from './credentials/key-file.js';
import { AuthenticationSetupError } from './errors.js';
import { KeyRing, type VerificationKey, type VerificationKeys } from './verification-keys.js';

export interface FileKeysOptions {
  readonly path: string;
  readonly monotonic: () => number;
  readonly logger: Logger;
}

/** Keys in a file. */
export class FileKeys implements VerificationKeys {
  private readonly file: WatchedFile<KeyRing>;

  /** @throws AuthenticationSetupError */
  constructor({ path, monotonic, logger }: FileKeysOptions) {
    this.file = new WatchedFile<KeyRing>({
      path,
      kind: 'trusted',
      parse: (text) => {
        const parsed = parseKeyFile(text);
        if (!parsed.ok) return parsed;
        const { keys, isNamed } = parsed.set;
        // a key in PEM has no name, so the name in a token says nothing about it
        return { ok: true, content: new KeyRing({ keys: [...keys] }, isNamed) };
      },
      monotonic,
      logger,
      failure: (sentence) => new AuthenticationSetupError(sentence),
    });
  }

  keyFor(header: JWTHeaderParameters): Promise<VerificationKey> {
    return this.file.content.keyFor(header, () => this.file.content);
  }
}
