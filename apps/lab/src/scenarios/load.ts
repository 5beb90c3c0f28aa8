import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '../lab-error.js';
import { waitUntil } from '../local-system/wait.js';
import { execute } from '../rest.js';
import type { Transfer } from './truth.js';

const WORKERS = 6;
const ACCOUNTS = 100;
const HIGHEST_AMOUNT = 20;
const RETRY_DELAY_MS = 200;
const PAUSE_MS = 20;
/** short, so that a paused coordinator does not hold up everybody */
const WAIT_MS = 2000;
/** longer than faults of scenarios last */
const ONE_TIMEOUT_MS = 90_000;
const BANKS = ['bank-a', 'bank-b', 'bank-c'] as const;

/** A mixed transfer of this load was committed, and one half of it ended by hand. */
const CONFLICTS: ReadonlyMap<unknown, 'committed' | 'aborted'> = new Map([
  ['TRANSACTION_ABORTED', 'aborted'],
  ['TRANSACTION_MIXED', 'committed'],
]);

interface MutableTransfer extends Transfer {
  id?: string;
  told?: 'committed' | 'aborted';
  lost?: 'from' | 'to';
  restoredAway?: 'from' | 'to';
  forgotten?: 'expired' | 'wiped';
}

/**
 * Transfers between `acc-*` accounts of different banks, all the time. Each has an idempotency key and is repeated
 * at another coordinator until a definite answer comes, as a careful client does. Every answer is kept.
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

  /** Ends the load. What has no definite answer yet is repeated until it has one or the time is over. */
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
   * Leaves one bank alone from now on, the others not. Resolves when no transfer that touches it waits for an answer.
   * Without a bank: spares none.
   */
  async spare(bank?: string): Promise<void> {
    this.spared = bank;
    if (bank === undefined) return;
    const isOpen = ({ told, from, to }: Transfer): boolean =>
      told === undefined && (from.bank === bank || to.bank === bank);
    if (await waitUntil(() => !this.transfers.some(isOpen), { timeoutMs: ONE_TIMEOUT_MS })) return;
    throw new LabError(`Transfers at ${bank} had no answer within ${ONE_TIMEOUT_MS / 1000} s.`);
  }

  /** One transfer of a scenario's own, repeated like all others until its answer comes; the checks count it, too. */
  async one({ from, to, amount }: Pick<Transfer, 'from' | 'to' | 'amount'>): Promise<MutableTransfer> {
    const transfer: MutableTransfer = { key: `lab-${randomUUID()}`, from, to, amount };
    this.transfers.push(transfer);
    const end = Date.now() + ONE_TIMEOUT_MS;
    while (transfer.told === undefined && Date.now() < end) await this.attempt(transfer);
    if (transfer.told !== undefined) return transfer;
    throw new LabError(`A transfer from ${from.bank} to ${to.bank} had no answer within ${ONE_TIMEOUT_MS / 1000} s.`);
  }

  /** Somebody has rolled back by hand what a committed transfer did at a bank. */
  markLost(id: string, bank: string): MutableTransfer | undefined {
    const transfer = this.transfers.find((candidate) => candidate.id === id);
    if (transfer) transfer.lost = transfer.from.bank === bank ? 'from' : 'to';
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

  private async attempt(transfer: MutableTransfer): Promise<void> {
    const urls = this.coordinatorUrls();
    const url = urls[randomInt(urls.length)] ?? '';
    const { from, to, amount } = transfer;
    try {
      const { status, body } = await execute(
        url,
        [
          {
            participant: from.bank,
            operation: 'debit',
            payload: { account: from.account, amount },
            keys: [from.account],
          },
          { participant: to.bank, operation: 'credit', payload: { account: to.account, amount }, keys: [to.account] },
        ],
        transfer.key,
        { timeoutMs: 15_000, waitMs: WAIT_MS },
      );
      const id = body['id'] ?? body['transactionId'];
      const told = status === 200 ? 'committed' : status === 409 ? CONFLICTS.get(body['code']) : undefined;
      if (typeof id === 'string') this.note(transfer, id);
      if (told === undefined) await delay(RETRY_DELAY_MS);
      else this.settle(transfer, told);
    } catch {
      await delay(RETRY_DELAY_MS); // no answer: the same key again, elsewhere
    }
  }

  private note(transfer: MutableTransfer, id: string): void {
    // an answer that is not final may name a transaction that was lost before it was logged; the last one counts
    transfer.id = id;
  }

  private settle(transfer: MutableTransfer, told: 'committed' | 'aborted'): void {
    transfer.told = told;
    if (told === 'committed') this.committed += 1;
  }
}

function newTransfer(banks: readonly string[]): MutableTransfer {
  const first = randomInt(banks.length);
  const second = (first + 1 + randomInt(banks.length - 1)) % banks.length;
  const account = (): string => `acc-${randomInt(ACCOUNTS)}`;
  return {
    key: `lab-${randomUUID()}`,
    from: { bank: banks[first] ?? 'bank-a', account: account() },
    to: { bank: banks[second] ?? 'bank-b', account: account() },
    amount: 1 + randomInt(HIGHEST_AMOUNT),
  };
}
