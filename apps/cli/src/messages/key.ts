import { writeFileSync } from 'node:fs';
import { errorMessage } from '@concordat/foundation';
import { createKey, faultOfKeyRequest } from '@concordat/messaging';
import type { KeyOptions } from './key-options.js';

/** Makes a key that signs messages: writes its secret part to a file, and prints what the others need. */
export function createSigningKey({ id, senders, isShared, until, path }: KeyOptions): boolean {
  const request = {
    id,
    senders,
    algorithm: isShared ? ('hmac-sha256' as const) : ('ed25519' as const),
    ...(until !== undefined && { until }),
  };
  const fault = faultOfKeyRequest(request) ?? pathFault(path);
  if (fault !== undefined) return refuse(fault);
  const { signing, trusted } = createKey(request);
  try {
    writeFileSync(path, `${signing}\n`, { mode: 0o600, flag: 'wx' }); // never replaces a key that is in use
  } catch (error) {
    return refuse(`${path} cannot be written (${errorMessage(error)}); name another file with --out`);
  }
  process.stdout.write(isShared ? sharedText(path) : pairText(path, trusted));
  return true;
}

function pathFault(path: string): string | undefined {
  return path === '' || path.includes('\0') ? '--out must be the path of a file' : undefined;
}

function refuse(reason: string): false {
  process.stderr.write(`concordat: the key cannot be made: ${reason}.\n`);
  return false;
}

function sharedText(path: string): string {
  return `The secret is in ${path} (mode 0600). Give it to every coordinator and participant of the cluster by a way that
nobody else reads; each sets

CONCORDAT_SIGNATURES=warn
CONCORDAT_SIGNING_KEY_FILE=${path}

and "require" instead of "warn" when concordat_signature_warnings_total stands still everywhere.
`;
}

function pairText(path: string, trusted: string): string {
  return `The private key is in ${path} (mode 0600), for CONCORDAT_SIGNING_KEY_FILE of its owner only.

The public key, for the list "keys" in the file that CONCORDAT_TRUSTED_KEYS_FILE of every process names,
{"keys":[…,…]}; it is read again when it changes, and the key ends when it is removed there:

${trusted}
`;
}
