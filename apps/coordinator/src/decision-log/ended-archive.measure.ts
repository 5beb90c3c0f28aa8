// Memory and time of the archive of ended transactions, as a program of its own: `npm run build`, then
// `node --expose-gc dist/apps/coordinator/src/decision-log/ended-archive.measure.js`. Adds transfers as the
// coordinator records them and prints what 20,000 to 200,000 take, without and with an idempotency key each.
import { createHash, randomInt, randomUUID } from 'node:crypto';
import type { BranchState, TransactionState } from '@concordat/commit-protocol';
import { SystemRandom, UuidV7Generator } from '@concordat/foundation';
import { CompressedEndedTransactions } from './ended-archive.js';

const STEPS = [20_000, 50_000, 100_000, 200_000];

let now = Date.UTC(2026, 0, 1);
let logIndex = 0;
const ids = new UuidV7Generator(() => now, new SystemRandom());

function branch(participant: string, operation: string, amount: number): BranchState {
  const account = `acc-${String(randomInt(1000)).padStart(4, '0')}`;
  return {
    branchId: ids.next(),
    participant,
    operations: [{ operation, payload: { account, amount }, keys: [account] }],
    selfPrepared: false,
    vote: 'yes',
    results: [{ account, balance: randomInt(1_000_000) }],
    end: 'committed',
  };
}

function transfer(withKey: boolean): TransactionState {
  now += randomInt(3);
  logIndex += randomInt(1, 4);
  const amount = randomInt(1, 1000);
  const bodyHash = createHash('sha256').update(String(logIndex)).digest('hex');
  return {
    transactionId: ids.next(),
    protocol: '2pc',
    createdAt: now,
    deadline: now + 10_000,
    metadata: {},
    claims: withKey ? [{ key: randomUUID(), bodyHash }] : [],
    branches: [branch('bank-a', 'debit', amount), branch('bank-b', 'credit', amount)],
    closed: true,
    logIndex,
    decision: 'commit',
    decidedAt: now + randomInt(10, 40),
    outcome: 'committed',
    endedAt: now + randomInt(40, 80),
  };
}

function usedBytes(): { heapUsed: number; arrayBuffers: number } {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heapUsed, arrayBuffers };
}

for (const withKey of [false, true]) {
  console.log(withKey ? '\nwith an idempotency key each' : 'without idempotency keys');
  const archive = new CompressedEndedTransactions();
  const start = usedBytes();
  const sealMs: number[] = [];
  for (let count = 1; count <= STEPS.at(-1)!; count++) {
    const transaction = transfer(withKey);
    const startedAt = performance.now();
    archive.add(transaction);
    if (count > STEPS[0]! && count % 128 === 0) sealMs.push(performance.now() - startedAt);
    if (!STEPS.includes(count)) continue;
    const { heapUsed, arrayBuffers } = usedBytes();
    const each = (bytes: number): string => `${(bytes / count).toFixed(1)} B`;
    console.log(
      `${String(count).padStart(7)}: ${each(archive.sizeBytes)} each in blocks and index, ` +
        `off-heap ${each(arrayBuffers - start.arrayBuffers)}, heap ${each(heapUsed - start.heapUsed)}, ` +
        `RSS ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`,
    );
  }
  const snapshot = archive.takeSnapshot();
  let startedAt = performance.now();
  Array.from(archive.restoreSnapshot(snapshot));
  console.log(`restored ${archive.size} in ${Math.round(performance.now() - startedAt)} ms`);
  sealMs.sort((a, b) => a - b);
  const quantile = (fraction: number): string => sealMs[Math.floor(fraction * (sealMs.length - 1))]!.toFixed(2);
  console.log(
    `sealing a block: median ${quantile(0.5)} ms, 99 % within ${quantile(0.99)} ms, longest ${quantile(1)} ms`,
  );
  const all = Array.from(archive.newestFirst(), ({ transactionId }) => transactionId);
  startedAt = performance.now();
  for (let i = 0; i < 500; i++) archive.get(all[randomInt(all.length)]!);
  console.log(`look-up of an old one: ${((performance.now() - startedAt) / 500).toFixed(2)} ms`);
  startedAt = performance.now();
  for (let i = 0; i < 200_000; i++) archive.get(ids.next());
  console.log(`look-up of one that is not there: ${((performance.now() - startedAt) / 200).toFixed(2)} µs`);
  startedAt = performance.now();
  for (let i = 0; i < 20; i++) archive.newestFirst()[Symbol.iterator]().next();
  console.log(`start of a list: ${((performance.now() - startedAt) / 20).toFixed(2)} ms`);
}
