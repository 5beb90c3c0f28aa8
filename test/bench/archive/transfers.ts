import { createHash, randomInt, randomUUID } from 'node:crypto';
import type { BranchState, TransactionState } from '@concordat/commit-protocol';
import { SystemRandom, UuidV7Generator } from '@concordat/foundation';

/** Makes transfers as the coordinator records them. */
export class TransferMaker {
  private now = Date.UTC(2026, 0, 1);
  private logIndex = 0;
  private readonly ids = new UuidV7Generator(() => this.now, new SystemRandom());

  constructor(private readonly keys: boolean) {}

  newId(): string {
    return this.ids.next();
  }

  transfer(): TransactionState {
    this.now += randomInt(3);
    this.logIndex += randomInt(1, 4);
    const amount = randomInt(1, 1000);
    const bodyHash = createHash('sha256').update(String(this.logIndex)).digest('hex');
    return {
      transactionId: this.ids.next(),
      protocol: '2pc',
      createdAt: this.now,
      deadline: this.now + 10_000,
      metadata: {},
      claims: this.keys ? [{ key: randomUUID(), bodyHash }] : [],
      branches: [this.branch('bank-a', 'debit', amount), this.branch('bank-b', 'credit', amount)],
      closed: true,
      logIndex: this.logIndex,
      decision: 'commit',
      decidedAt: this.now + randomInt(10, 40),
      outcome: 'committed',
      endedAt: this.now + randomInt(40, 80),
    };
  }

  private branch(participant: string, operation: string, amount: number): BranchState {
    const account = `acc-${String(randomInt(1000)).padStart(4, '0')}`;
    return {
      branchId: this.ids.next(),
      participant,
      operations: [{ operation, payload: { account, amount }, keys: [account] }],
      selfPrepared: false,
      vote: 'yes',
      results: [{ account, balance: randomInt(1_000_000) }],
      end: 'committed',
    };
  }
}
