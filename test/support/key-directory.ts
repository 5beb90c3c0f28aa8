import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKey, type MessageSender } from '@concordat/messaging';

/** Files with the signing keys of some processes, and one with all of their public keys. */
export class KeyDirectory {
  readonly trustedKeysFile: string;
  private readonly directory = mkdtempSync(join(tmpdir(), 'concordat-keys-'));

  constructor(senders: readonly MessageSender[]) {
    const trusted = senders.map((sender) => {
      const made = createKey({ id: idOf(sender), algorithm: 'ed25519', senders: [sender] });
      writeFileSync(this.signingKeyFile(sender), made.signing, { mode: 0o600 });
      return made.trusted;
    });
    this.trustedKeysFile = join(this.directory, 'trusted.json');
    writeFileSync(this.trustedKeysFile, `{"keys":[${trusted.join(',')}]}`, { mode: 0o600 });
  }

  signingKeyFile(sender: MessageSender): string {
    return join(this.directory, `${idOf(sender)}.key.json`);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}

function idOf(sender: MessageSender): string {
  return sender.replace(':', '-');
}
