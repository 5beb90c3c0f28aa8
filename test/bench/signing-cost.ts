/**
 * What it costs to sign a message and to check it, in time of the processor: `npm run build`, then
 * `node dist/test/bench/signing-cost.js`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger, SystemClock } from '@concordat/foundation';
import { createKey, encodeMessage, MessageSignatures } from '@concordat/messaging';

const CLUSTER = 'local';
const MESSAGES = { 'hmac-sha256': 40_000, ed25519: 4_000 } as const;
const transactionId = '018f2d3c-1111-7abc-8def-0123456789ab';
const vote = {
  type: 'vote',
  transactionId,
  branchId: '018f2d3c-2222-7abc-8def-0123456789ab',
  participant: 'bank-a',
  vote: 'yes',
  results: [{ balance: 3 }],
} as const;

/** Microseconds of the processor for each of `count` calls. */
function costOf(count: number, work: () => void): string {
  const before = process.cpuUsage();
  for (let n = 0; n < count; n++) work();
  const { user, system } = process.cpuUsage(before);
  return `${((user + system) / count).toFixed(1)} µs`;
}

function measure(algorithm: keyof typeof MESSAGES, directory: string): void {
  const signingKeyFile = path.join(directory, `${algorithm}.json`);
  const { signing } = createKey({ id: 'key', algorithm, senders: ['participant:bank-a'] });
  writeFileSync(signingKeyFile, signing, { mode: 0o600 });
  const signatures = new MessageSignatures({
    mode: 'require',
    cluster: CLUSTER,
    sender: 'participant:bank-a',
    signingKeyFile,
    clock: new SystemClock(),
    logger: silentLogger,
  });
  const entry = {
    topic: `concordat.${CLUSTER}.replies`,
    key: transactionId,
    value: encodeMessage(CLUSTER, vote, false),
  };
  const record = { ...entry, headers: signatures.sign(entry) };
  const count = MESSAGES[algorithm];
  costOf(count, () => void signatures.verify(record)); // until it is compiled
  const sign = costOf(count, () => void signatures.sign(entry));
  const check = costOf(count, () => void signatures.verify(record));
  process.stdout.write(`${algorithm}: ${sign} to sign a vote, ${check} to check it\n`);
}

const directory = mkdtempSync(path.join(tmpdir(), 'concordat-signing-'));
try {
  for (const algorithm of ['hmac-sha256', 'ed25519'] as const) measure(algorithm, directory);
} finally {
  rmSync(directory, { recursive: true });
}
