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
const BATCH = 16;
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

/** Microseconds of the processor for each of `count` calls, or for each of the messages of a call. */
function costOf(count: number, work: () => void, messages = 1): string {
  const before = process.cpuUsage();
  for (let n = 0; n < count; n++) work();
  const { user, system } = process.cpuUsage(before);
  return `${((user + system) / count / messages).toFixed(1)} µs`;
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
  const record = { ...entry, headers: signatures.sign([entry])[0]! };
  const count = MESSAGES[algorithm];
  costOf(count, () => void signatures.verify(record)); // until it is compiled
  const sign = costOf(count, () => void signatures.sign([entry]));
  const check = costOf(count, () => void signatures.verify(record));
  process.stdout.write(`${algorithm}: ${sign} to sign a vote, ${check} to check it\n`);
  const entries = Array.from({ length: count }, (_, place) => ({ ...entry, key: String(place) }));
  const records: Parameters<typeof signatures.verify>[0][] = [];
  let first = 0;
  const signBatch = (): void => {
    const batch = entries.slice(first, (first += BATCH));
    const headers = signatures.sign(batch);
    records.push(...batch.map((one, place) => ({ ...one, headers: headers[place]! })));
  };
  const signTogether = costOf(count / BATCH, signBatch, BATCH);
  const checkTogether = costOf(count, () => void signatures.verify(records[--first]!));
  process.stdout.write(
    `  ${BATCH} votes that leave together, each: ${signTogether} to sign, ${checkTogether} to check\n`,
  );
}

const directory = mkdtempSync(path.join(tmpdir(), 'concordat-signing-'));
try {
  for (const algorithm of ['hmac-sha256', 'ed25519'] as const) measure(algorithm, directory);
} finally {
  rmSync(directory, { recursive: true });
}
