import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { BANKS } from '../local-system/ports.js';
import { request, type Answer } from '../rest.js';
import type { ScenarioLab } from './scenario-lab.js';
import type { AccountName, Transfer } from './truth.js';

const ACCOUNTS = 100;
const MAXIMUM_AMOUNT = 20;
/** More than any account holds, so that the debit is refused. */
const REFUSED_AMOUNT = 1_000_000_000_000;
const TIMEOUT_MS = 15_000;
const WAIT_MS = 2_000;
const REQUEST_TIMEOUT_MS = 5_000;
const RETRY_DELAY_MS = 200;
const PAUSE_MS = 50;

/** The ways through the protocols that one-call transfers between two banks do not take. */
export const KINDS = ['interactive', 'one branch', 'one enlisted branch', 'refused', 'read-only', '3pc'] as const;

export type Kind = (typeof KINDS)[number];

interface MutableTransfer extends Transfer {
  id?: string;
  told?: 'committed' | 'aborted';
}

/**
 * Transfers of all other kinds beside the load, one worker for each kind. The checks count them like the load's: each
 * has an idempotency key for every step, and is repeated at another coordinator until a definite answer arrives.
 */
export class MixedTraffic {
  private readonly own: MutableTransfer[] = [];
  private readonly kinds = new Map<MutableTransfer, Kind>();
  private running = false;
  private workers: Promise<void>[] = [];

  constructor(
    private readonly lab: ScenarioLab,
    private readonly offered: readonly Kind[],
  ) {}

  start(): void {
    this.running = true;
    this.workers = this.offered.map((kind) => this.work(kind));
  }

  /** Ends the traffic. Unanswered transfers are repeated until they have an answer or the time is over. */
  async stop(timeoutMs: number): Promise<void> {
    this.running = false;
    await Promise.all(this.workers);
    const end = Date.now() + timeoutMs;
    for (const transfer of this.own) {
      while (transfer.told === undefined && Date.now() < end) await this.attempt(transfer);
    }
  }

  /** The first committed transaction in three phases. */
  readonly threePhase = (): string | undefined =>
    this.own.find((transfer) => this.kinds.get(transfer) === '3pc' && transfer.told === 'committed')?.id;

  figures(): string {
    const told = (kind: Kind, answer: string): number =>
      this.own.filter((transfer) => this.kinds.get(transfer) === kind && transfer.told === answer).length;
    return this.offered
      .map((kind) => `${kind} ${told(kind, 'committed')} committed, ${told(kind, 'aborted')} aborted`)
      .join('; ');
  }

  private async work(kind: Kind): Promise<void> {
    while (this.running) {
      const transfer = newTransfer(kind);
      this.own.push(transfer);
      this.kinds.set(transfer, kind);
      this.lab.load.transfers.push(transfer);
      while (this.running && transfer.told === undefined) await this.attempt(transfer);
      await delay(PAUSE_MS);
    }
  }

  private async attempt(transfer: MutableTransfer): Promise<void> {
    const kind = this.kinds.get(transfer);
    const nodes = this.lab.coordinators();
    const url = this.lab.url(nodes[randomInt(nodes.length)]?.name ?? 'coordinator-1');
    try {
      const interactive = kind === 'interactive' || kind === 'one enlisted branch';
      const answer = interactive ? await stepByStep(url, transfer) : await atOnce(url, transfer, kind);
      if (answer) settle(transfer, answer);
    } catch {
      // no answer: the same keys again, elsewhere
    }
    if (transfer.told === undefined) await delay(RETRY_DELAY_MS);
  }
}

function settle(transfer: MutableTransfer, { status, body }: Answer): void {
  const id = body['id'] ?? body['transactionId'];
  if (typeof id === 'string') transfer.id = id;
  if (status === 200) transfer.told = 'committed';
  else if (status === 409 && body['code'] === 'TRANSACTION_ABORTED') transfer.told = 'aborted';
}

async function atOnce(url: string, transfer: Transfer, kind: Kind | undefined): Promise<Answer> {
  const protocol = kind === '3pc' ? '3pc' : '2pc';
  const branches = kind === 'read-only' ? readsOf(transfer) : movementsOf(transfer);
  const third = BANKS.find((bank) => bank !== transfer.from.bank && bank !== transfer.to.bank);
  if (kind === '3pc' && third) branches.push(reading({ bank: third, account: transfer.to.account }));
  return await post(`${url}/v1/transactions/execute?wait=decided&waitMs=${WAIT_MS}`, transfer.key, {
    protocol,
    branches,
    timeoutMs: TIMEOUT_MS,
  });
}

/** Begin, enlist, commit. A repetition from the start with the same keys continues where it was. */
async function stepByStep(url: string, transfer: MutableTransfer): Promise<Answer | undefined> {
  const { key } = transfer;
  const begun = await post(`${url}/v1/transactions`, key, { timeoutMs: TIMEOUT_MS });
  const id = begun.body['id'];
  if (typeof id !== 'string') return undefined;
  transfer.id = id;
  for (const [place, branch] of movementsOf(transfer).entries()) {
    const { status } = await post(`${url}/v1/transactions/${id}/branches`, `${key}-${place}`, branch);
    // 409: closed or decided, so all branches were enlisted before, or it is aborted; the commit tells which
    if (status !== 200 && status !== 201 && status !== 409) return undefined;
  }
  return await request(
    'POST',
    `${url}/v1/transactions/${id}/commit?wait=decided&waitMs=${WAIT_MS}`,
    undefined,
    {},
    REQUEST_TIMEOUT_MS,
  );
}

async function post(url: string, key: string, body: unknown): Promise<Answer> {
  return await request('POST', url, body, { 'idempotency-key': key }, REQUEST_TIMEOUT_MS);
}

interface BranchOfRequest {
  readonly participant: string;
  readonly operation: string;
  readonly payload: unknown;
  readonly keys?: readonly string[];
}

function movementsOf({ from, to, amount }: Transfer): BranchOfRequest[] {
  const movement = ({ bank, account }: AccountName, operation: string): BranchOfRequest => ({
    participant: bank,
    operation,
    payload: { account, amount },
    keys: [account],
  });
  return [movement(from, 'debit'), movement(to, 'credit')];
}

function readsOf({ from, to }: Transfer): BranchOfRequest[] {
  return [reading(from), reading(to)];
}

function reading({ bank, account }: AccountName): BranchOfRequest {
  return { participant: bank, operation: 'read', payload: { account } };
}

function newTransfer(kind: Kind): MutableTransfer {
  const first = randomInt(BANKS.length);
  const alone = kind === 'one branch' || kind === 'one enlisted branch';
  const second = alone ? first : (first + 1 + randomInt(BANKS.length - 1)) % BANKS.length;
  const from = randomInt(ACCOUNTS);
  const to = (from + 1 + randomInt(ACCOUNTS - 1)) % ACCOUNTS;
  return {
    key: `crash-${randomUUID()}`,
    from: { bank: BANKS[first] ?? 'bank-a', account: `acc-${from}` },
    to: { bank: BANKS[second] ?? 'bank-b', account: `acc-${to}` },
    amount: kind === 'refused' ? REFUSED_AMOUNT : kind === 'read-only' ? 0 : 1 + randomInt(MAXIMUM_AMOUNT),
  };
}
