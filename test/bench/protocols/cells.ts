import { BENCH_ACCOUNTS } from '../system.js';
import { participantName } from '../participants.js';

/** What is compared. `one-phase` is 2PC with a single branch, `read-only` 2PC whose branches write nothing. */
export const PROTOCOLS = ['2pc', '3pc', 'one-phase', 'read-only'] as const;
export type ProtocolName = (typeof PROTOCOLS)[number];

/** One kind of transaction. */
export interface Cell {
  readonly protocol: ProtocolName;
  readonly branches: number;
}

/** What plain PostgreSQL clients do for the same effect, without a coordinator. */
export type BoundKind = 'two-phase' | 'local-commit' | 'read';

/** Of each protocol with each number of branches; one phase has one branch. Those with the same bound are neighbours. */
export function cellsOf(protocols: readonly ProtocolName[], branches: readonly number[]): Cell[] {
  const onePhase: Cell[] = protocols.includes('one-phase') ? [{ protocol: 'one-phase', branches: 1 }] : [];
  const others = PROTOCOLS.filter((protocol) => protocol !== 'one-phase' && protocols.includes(protocol));
  return [...onePhase, ...branches.flatMap((count) => others.map((protocol) => ({ protocol, branches: count })))];
}

export function boundOf({ protocol }: Cell): BoundKind {
  switch (protocol) {
    case '2pc':
    case '3pc':
      return 'two-phase';
    case 'one-phase':
      return 'local-commit';
    case 'read-only':
      return 'read';
  }
}

export function labelOf({ protocol, branches }: Cell): string {
  return `${protocol}, ${branches} ${branches === 1 ? 'branch' : 'branches'}`;
}

/** The request: money goes from the first participant to the others; one branch alone gets some, a reader looks. */
export function transactionBody({ protocol, branches }: Cell, account: string): string {
  return JSON.stringify({
    protocol: protocol === '3pc' ? '3pc' : '2pc',
    branches: Array.from({ length: branches }, (_, place) => ({
      participant: participantName(place),
      ...(protocol === 'read-only'
        ? { operation: 'read', payload: { account } }
        : movement(account, amountAt(place, branches))),
    })),
  });
}

/** What a branch adds to its account; negative where it takes. */
export function amountAt(place: number, branches: number): number {
  return place === 0 && branches > 1 ? 1 - branches : 1;
}

function movement(account: string, amount: number): object {
  return { operation: amount < 0 ? 'debit' : 'credit', payload: { account, amount: Math.abs(amount) } };
}

/**
 * Hands out accounts so that no two transactions under way share one: each client walks through a share of its own.
 * With random ones the waits for each other's locks would grow with the square of the branches and hide what a branch
 * costs.
 */
export class AccountTurns {
  private readonly turns: number[];
  private readonly share: number;

  constructor(private readonly clients: number) {
    this.turns = Array.from({ length: clients }, () => 0);
    this.share = Math.floor(BENCH_ACCOUNTS / clients);
  }

  next(client: number): string {
    const turn = this.turns[client]!;
    this.turns[client] = (turn + 1) % this.share;
    return `bench-${client + turn * this.clients}`;
  }
}
