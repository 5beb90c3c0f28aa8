import { randomUUID } from 'node:crypto';
import { LabError } from '../lab-error.js';
import { table, type Narration } from '../narration.js';
import { describeAnswer, execute, request, type Answer, type Operation } from '../rest.js';
import type { SystemContext } from './part.js';
import { httpUrl, type PartName } from './ports.js';
import { waitUntil } from './wait.js';

const OPENING_BALANCE = 1000;
const AMOUNT = 25;
/** of the three coordinators of a local system */
const MAJORITY = 2;
const ANNOUNCED_WITHIN_MS = 15_000;
const ACCOUNTS = [
  { bank: 'bank-a', account: 'demo-1' },
  { bank: 'bank-b', account: 'demo-2' },
] as const;

/**
 * Waits until the coordinators know the banks among the parts: a bank that has just started announces itself a moment
 * after it is ready. Without a majority of coordinators nobody can know them, and it does not wait.
 */
export async function untilBanksAreKnown(
  context: SystemContext,
  parts: readonly PartName[],
  signal: AbortSignal,
): Promise<void> {
  const coordinators = parts.filter((name) => name.startsWith('coordinator-'));
  if (coordinators.length < MAJORITY) return;
  const url = httpUrl(context, coordinators[0]!);
  const banks = parts.filter((name) => name.startsWith('bank-'));
  await Promise.all(
    banks.map((participant) => {
      // the account need not exist
      const read: Operation = { participant, operation: 'read', payload: { account: ACCOUNTS[0].account } };
      return executeWhenKnown(url, [read], `demo-read-${randomUUID()}`, signal);
    }),
  );
  signal.throwIfAborted();
}

/** Shows that the system works: one transfer between two accounts that nothing else uses. */
export async function showTransfer(context: SystemContext, narration: Narration, signal: AbortSignal): Promise<void> {
  const { portOffset } = context;
  const url = httpUrl(context, 'coordinator-1');
  await openAccounts(url, portOffset, narration, signal);
  signal.throwIfAborted();
  const before = await balances(portOffset);
  const start = Date.now();
  const [from, to] = ACCOUNTS;
  const answer = await executeWhenKnown(
    url,
    [
      { participant: from.bank, operation: 'debit', payload: { account: from.account, amount: AMOUNT } },
      { participant: to.bank, operation: 'credit', payload: { account: to.account, amount: AMOUNT } },
    ],
    `demo-${randomUUID()}`,
    signal,
  );
  const tookMs = Date.now() - start;
  const refused = answer.status === 409 && answer.body['participantCode'] === 'INSUFFICIENT_FUNDS';
  if (answer.status !== 200 && !refused) {
    throw new LabError(`The first transfer did not commit: ${describeAnswer(answer)}.`);
  }
  const id = String(answer.body['id'] ?? answer.body['transactionId']);
  const result = refused ? 'aborted on both sides (demo-1 has run out of money)' : 'committed';
  narration.say(`a transfer of ${AMOUNT} from ${from.bank}/${from.account} to ${to.bank}/${to.account}: ${result}`);
  const after = await balances(portOffset);
  const rows = ACCOUNTS.map(({ bank, account }, place) => [
    `${bank}/${account}`,
    String(before[place]),
    String(after[place]),
  ]);
  narration.plain(['', ...table([['account', 'before', 'after'], ...rows]), ''].join('\n'));
  narration.plain(`transaction ${id}, ${tookMs} ms: ${url}/v1/transactions/${id}\n`);
}

const accountUrl = (bank: 'bank-a' | 'bank-b', account: string, portOffset: number): string =>
  `${httpUrl({ portOffset }, bank)}/accounts/${account}`;

async function openAccounts(url: string, portOffset: number, narration: Narration, signal: AbortSignal): Promise<void> {
  const missing: Operation[] = [];
  for (const { bank, account } of ACCOUNTS) {
    const { status } = await request('GET', accountUrl(bank, account, portOffset));
    if (status === 404) {
      missing.push({ participant: bank, operation: 'open', payload: { account, balance: OPENING_BALANCE } });
    }
  }
  if (missing.length === 0) return;
  const answer = await executeWhenKnown(url, missing, `demo-open-${randomUUID()}`, signal);
  if (answer.status !== 200) throw new LabError(`The demo accounts could not be opened: ${describeAnswer(answer)}.`);
  narration.say(`opened ${missing.length} demo account(s) with ${OPENING_BALANCE} each`);
}

async function balances(portOffset: number): Promise<number[]> {
  const answers = ACCOUNTS.map(async ({ bank, account }) => {
    const { body } = await request('GET', accountUrl(bank, account, portOffset));
    return Number(body['balance']);
  });
  return await Promise.all(answers);
}

/** A participant that has just started may not have announced itself yet, and a young leader may step down. */
async function executeWhenKnown(
  url: string,
  operations: readonly Operation[],
  key: string,
  signal: AbortSignal,
): Promise<Answer> {
  let answer: Answer | undefined;
  const isKnown = await waitUntil(
    async () => {
      answer = await execute(url, operations, key, { wait: 'ended' });
      return answer.status !== 503 && answer.body['code'] !== 'UNKNOWN_PARTICIPANT';
    },
    { timeoutMs: ANNOUNCED_WITHIN_MS, signal },
  );
  if (isKnown) return answer!;
  const names = operations.map(({ participant }) => participant).join(' and ');
  throw new LabError(
    `The coordinators do not know ${names} after ${ANNOUNCED_WITHIN_MS / 1000} s, or have no leader: ${describeAnswer(answer!)}.`,
  );
}
