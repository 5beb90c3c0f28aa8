import { randomBytes } from 'node:crypto';
import type { SecretFiles } from './secret-files.js';

const FILE = 'context-key';
const newKey = (): string => randomBytes(32).toString('base64url');

/** The keys by which the services of the shop sign the contexts of their calls: the first signs, all verify. */
export class LocalContextKeys {
  constructor(private readonly files: SecretFiles) {}

  ensure(): void {
    this.files.ensure(FILE, newKey);
  }

  get file(): string {
    return this.files.path(FILE);
  }

  /** The one that signs. */
  get signing(): string {
    return this.all[0]!;
  }

  /** Adds a key, with which nobody signs yet. @returns it */
  add(): string {
    const key = newKey();
    this.write([...this.all, key]);
    return key;
  }

  /** From now on this one signs. */
  signWith(key: string): void {
    this.write([key, ...this.all.filter((other) => other !== key)]);
  }

  /** Only the one that signs is taken any more. */
  dropOthers(): void {
    this.write([this.signing]);
  }

  private get all(): readonly string[] {
    return this.files.text(FILE).split('\n');
  }

  private write(keys: readonly string[]): void {
    this.files.write(FILE, `${keys.join('\n')}\n`);
  }
}
