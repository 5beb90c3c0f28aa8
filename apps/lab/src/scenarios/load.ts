import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../lab-error.js';
import { BANKS } from '../local-system/ports.js';
import { waitUntil } from '../local-system/wait.js';
import { execute, type Operation } from '../rest.js';
import { changeAt, partsOf, type AccountName, type Part, type Transfer } from './truth.js';

const WORKERS = 6;
const ACCOUNTS = 100;
const MAXIMUM_AMOUNT = 20;
/** one transfer in this many is over three banks, in three phases */
const OVER_THREE_IN = 3;
const TRANSACTION_TIMEOUT_MS = 15_000;
const RETRY_DELAY_MS = 200;
const PAUSE_MS = 20;
/** short, so that a paused coordinator delays few transfers */
const WAIT_MS = 2000;
/** longer than the scenarios' faults */
const ONE_TIMEOUT_MS = 90_000;

/** The conflicts of a mixed transfer: it was committed, and one half ended by hand. */
const CONFLICTS: ReadonlyMap<unknown, 'committed' | 'aborted'> = new Map([
  ['TRANSACTION_ABORTED', 'aborted'],
  ['TRANSACTION_MIXED', 'committed'],
]);

interface MutableTransfer extends Transfer {
  id?: string;
  told?: 'committed' | 'aborted';
  toldAt?: number;
  abortReason?: string;
  lost?: Part;
  isRepaired?: boolean;
  restoredAway?: Part;
  forgotten?: 'expired';
}

/**
 * Continuous transfers between `acc-*` accounts of different banks. Each has an idempotency key and is repeated at
 * another coordinator until a definite answer arrives, as a careful client does. Every answer is kept.
 */
export class Load {
  readonly transfers: MutableTransfer[] = [];
  committed = 0;
  private running = false;
  private spared: string | undefined;
  private workers: Promise<void>[] = [];

  constructor(private readonly coordinatorUrls: () => readonly string[]) {}

  start(): void {
    this.running = true;
    this.workers = Array.from({ length: WORKERS }, () => this.work());
  }

  /** Ends the load. Unanswered transfers are repeated until they have an answer or the time is over. */
  async stop(timeoutMs: number): Promise<void> {
    this.running = false;
    await Promise.all(this.workers);
    this.workers = [];
    const end = Date.now() + timeoutMs;
    for (const transfer of this.transfers) {
      while (transfer.told === undefined && Date.now() < end) await this.attempt(transfer);
    }
  }

  /**
   * Excludes one bank from further transfers. Resolves when no transfer at that bank waits for an answer. Without a
   * bank: excludes none.
   */
  async spare(bank?: string): Promise<void> {
    this.spared = bank;
    if (bank === undefined) return;
    const isOpen = (transfer: Transfer): boolean =>
      transfer.told === undefined && partsOf(transfer).some((part) => transfer[part]!.bank === bank);
    if (await waitUntil(() => !this.transfers.some(isOpen), { timeoutMs: ONE_TIMEOUT_MS })) return;
    throw new LabError(`Transfers at ${bank} had no answer within ${ONE_TIMEOUT_MS / 1000} s.`);
  }

  /** One transfer of a scenario, repeated until its answer arrives; the checks count it, too. */
  async one(wanted: Pick<Transfer, 'from' | 'to' | 'amount' | 'also' | 'protocol'>): Promise<MutableTransfer> {
    const transfer: MutableTransfer = { key: `lab-${randomUUID()}`, ...wanted };
    const { from, to } = transfer;
    this.transfers.push(transfer);
    const end = Date.now() + ONE_TIMEOUT_MS;
    while (transfer.told === undefined && Date.now() < end) await this.attempt(transfer, ONE_TIMEOUT_MS);
    if (transfer.told !== undefined) return transfer;
    throw new LabError(`A transfer from ${from.bank} to ${to.bank} had no answer within ${ONE_TIMEOUT_MS / 1000} s.`);
  }

  /** Records that a committed transfer was rolled back by hand at a bank. */
  markLost(id: string, bank: string): MutableTransfer | undefined {
    const transfer = this.transfers.find((candidate) => candidate.id === id);
    const part = transfer && partsOf(transfer).find((candidate) => transfer[candidate]?.bank === bank);
    if (part) transfer.lost = part;
    return transfer;
  }

  private async work(): Promise<void> {
    while (this.running) {
      const transfer = newTransfer(BANKS.filter((bank) => bank !== this.spared));
      this.transfers.push(transfer);
      while (this.running && transfer.told === undefined) await this.attempt(transfer);
      await delay(PAUSE_MS);
    }
  }

  private async attempt(transfer: MutableTransfer, timeoutMs = TRANSACTION_TIMEOUT_MS): Promise<void> {
    const { key, protocol = '2pc' } = transfer;
    const operations = partsOf(transfer).map((part) => operationAt(transfer, part));
    try {
      const urls = this.coordinatorUrls();
      const url = urls[randomInt(urls.length)] ?? '';
      const { status, body } = await execute(url, operations, key, { protocol, timeoutMs, waitMs: WAIT_MS });
      const id = body['id'] ?? body['transactionId'];
      const told = status === 200 ? 'committed' : status === 409 ? CONFLICTS.get(body['code']) : undefined;
      if (typeof id === 'string') this.note(transfer, id);
      if (told === undefined) await delay(RETRY_DELAY_MS);
      else this.settle(transfer, told, body);
    } catch {
      await delay(RETRY_DELAY_MS); // no answer, or no system any more: the same key again, elsewhere
    }
  }

  private note(transfer: MutableTransfer, id: string): void {
    // an answer that is not final may name a transaction that was lost before it was logged; the last one counts
    transfer.id = id;
  }

  private settle(
    transfer: MutableTransfer,
    told: 'committed' | 'aborted',
    { participantCode, reason }: Readonly<Record<string, unknown>>,
  ): void {
    transfer.told = told;
    transfer.toldAt = Date.now();
    if (told === 'aborted') transfer.abortReason = String(participantCode ?? reason);
    if (told === 'committed') this.committed += 1;
  }
}

/** Between two banks in two phases, or sometimes over three in three. */
function newTransfer(banks: readonly string[]): MutableTransfer {
  const first = randomInt(banks.length);
  const step = 1 + randomInt(banks.length - 1);
  const at = (place: number): AccountName => {
    return { bank: banks[place % banks.length] ?? 'bank-a', account: `acc-${randomInt(ACCOUNTS)}` };
  };
  const overThree = banks.length >= 3 && randomInt(OVER_THREE_IN) === 0;
  return {
    key: `lab-${randomUUID()}`,
    askedAt: Date.now(),
    from: at(first),
    to: at(first + step),
    amount: 2 + randomInt(MAXIMUM_AMOUNT),
    ...(overThree && { also: at(first + (step === 1 ? 2 : 1)), protocol: '3pc' }),
  };
}

function operationAt(transfer: Transfer, part: Part): Operation {
  const { bank, account } = transfer[part]!;
  const change = changeAt(transfer, part);
  const operation = change < 0 ? 'debit' : 'credit';
  return { participant: bank, operation, payload: { account, amount: Math.abs(change) }, keys: [account] };
}
