import { connect } from 'node:tls';
import { readFileSync } from 'node:fs';
import { guarded, type TlsFilePaths } from '@concordat/foundation';
import { LabError } from '../../lab-error.js';
import { signal as sendSignal } from '../../local-system/process-table.js';
import type { ProcessRecord } from '../../local-system/system-file.js';
import { waitUntil } from '../../local-system/wait.js';
import type { ScenarioLab } from '../scenario-lab.js';

const TIMEOUT_MS = 20_000;

/** The coordinators and the services: who has secrets to read again. */
export function services(lab: ScenarioLab): readonly ProcessRecord[] {
  return lab.state().processes.filter(({ role }) => role === 'coordinator' || role === 'participant');
}

/** Makes processes read their certificates, keys and tokens again, and waits until their logs say that they have. */
export async function readAgain(lab: ScenarioLab, who: readonly ProcessRecord[] = services(lab)): Promise<void> {
  const ends = who.map(({ logFile }) => readFileSync(logFile).length);
  for (const { pid } of who) sendSignal(pid, 'SIGHUP');
  const missing = (): string[] =>
    who.flatMap(({ name, logFile }, place) => {
      const added = readFileSync(logFile).subarray(ends[place]).toString();
      return added.includes('SIGHUP: files with certificates, keys and tokens are read again') ? [] : [name];
    });
  if (await waitUntil(() => missing().length === 0, { timeoutMs: TIMEOUT_MS, pollMs: 50 })) return;
  throw new LabError(`${missing().join(', ')} did not answer SIGHUP within ${TIMEOUT_MS / 1000} s.`);
}

/** The serial number of the certificate that a server shows. */
export function servedSerial(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] });
    socket.on('error', guarded(reject, reject));
    socket.once(
      'secureConnect',
      guarded(() => {
        const serial = socket.getPeerX509Certificate()?.serialNumber ?? 'none';
        socket.destroy();
        resolve(serial);
      }, reject),
    );
  });
}

/** What a client shows, from files. */
export function shownBy({ certificate, key }: TlsFilePaths): { readonly cert: Buffer; readonly key: Buffer } {
  return { cert: readFileSync(certificate), key: readFileSync(key) };
}

/** Waits for a condition of a rotation. @throws LabError */
export async function untilTrue(what: string, condition: () => Promise<boolean>): Promise<void> {
  if (await waitUntil(condition, { timeoutMs: TIMEOUT_MS, pollMs: 50 })) return;
  throw new LabError(`${what}: not within ${TIMEOUT_MS / 1000} s.`);
}
