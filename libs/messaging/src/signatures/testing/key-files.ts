import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, SystemClock, type Clock, type Logger } from '@concordat/foundation';
import type { MessageSender } from '../../contract/authenticity.js';
import { createKey, type CreatedKey, type KeyRequest } from '../create-key.js';
import { MessageSignatures, type MessageSignaturesOptions } from '../message-signatures.js';

/** Keys in files of a directory of their own, and processes that sign with them. */
export class KeyFiles {
  private readonly directory = mkdtempSync(join(tmpdir(), 'concordat-keys-'));
  private readonly trusted = new Map<string, string>();
  readonly cluster: string;
  readonly clock: Clock;

  constructor({ cluster = 'local', clock = new SystemClock() }: { cluster?: string; clock?: Clock } = {}) {
    this.cluster = cluster;
    this.clock = clock;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, text: string, mode = 0o600): string {
    writeFileSync(this.path(name), text);
    chmodSync(this.path(name), mode);
    return this.path(name);
  }

  /** Makes a key that everybody trusts. */
  add(id: string, request: Partial<Omit<KeyRequest, 'id'>> = {}): CreatedKey {
    const created = createKey({ id, algorithm: 'ed25519', senders: ['coordinator'], ...request });
    this.trusted.set(id, created.trusted);
    this.write(`${id}.key`, created.signing);
    this.writeTrusted();
    return created;
  }

  /** Nobody trusts this key any more. */
  retire(id: string): void {
    this.trusted.delete(id);
    this.writeTrusted();
  }

  signatures(
    id: string,
    sender: MessageSender,
    options: Partial<Pick<MessageSignaturesOptions, 'mode' | 'cluster' | 'clock' | 'disbelieved'>> & {
      readonly logger?: Logger;
    } = {},
  ): MessageSignatures {
    return new MessageSignatures({
      mode: 'require',
      cluster: this.cluster,
      sender,
      signingKeyFile: this.path(`${id}.key`),
      trustedKeysFile: this.path('trusted'),
      clock: this.clock,
      logger: silentLogger,
      ...options,
    });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  private writeTrusted(): void {
    this.write('trusted', `{"keys":[${[...this.trusted.values()].join(',')}]}`);
  }
}
