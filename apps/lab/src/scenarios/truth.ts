/** Balances of all banks: `bank-a/acc-0` to minor units. */
export type Balances = ReadonlyMap<string, bigint>;

export interface AccountName {
  readonly bank: string;
  readonly account: string;
}

/** The accounts of a transfer, each at another bank. */
export type Part = 'from' | 'to' | 'also';

/** One transfer of the load and its client's answer. */
export interface Transfer {
  readonly key: string;
  readonly from: AccountName;
  readonly to: AccountName;
  readonly amount: number;
  /** a third account, with a branch of its own: it gets half of the amount, rounded down, and `to` the rest */
  readonly also?: AccountName;
  /** default 2pc */
  readonly protocol?: '2pc' | '3pc';
  /** the transaction, once an answer named it */
  readonly id?: string;
  readonly told?: 'committed' | 'aborted';
  /** when its client first asked, and when it had its answer, in milliseconds since 1970 */
  readonly askedAt?: number;
  readonly toldAt?: number;
  /** why it was aborted */
  readonly abortReason?: string;
  /** committed, but this half was rolled back by hand in its database: a known difference */
  readonly lost?: Part;
  /** the lost half was repaired by hand: the money is right, and the transaction stays mixed */
  readonly isRepaired?: boolean;
  /** committed, but a bank was then restored from an older backup: this half is lost, and no coordinator can know */
  readonly restoredAway?: Part;
  /** why no node knows the transaction any more: the retention is over, or the group lost its data */
  readonly forgotten?: 'expired';
}

export interface Check {
  readonly name: string;
  readonly holds: boolean;
  readonly detail: string;
}

const SHOWN = 5;

/** A check that holds when there are no problems. */
export function checkOf(name: string, problems: readonly string[], good: string): Check {
  const more = problems.length > SHOWN ? ` and ${problems.length - SHOWN} more` : '';
  return {
    name,
    holds: problems.length === 0,
    detail: problems.length === 0 ? good : `${problems.slice(0, SHOWN).join('; ')}${more}`,
  };
}

export function sumOf(balances: Balances): bigint {
  return [...balances.values()].reduce((sum, balance) => sum + balance, 0n);
}

/** The balances after exactly the transfers whose clients got "committed", less known losses. */
export function replay(opening: Balances, transfers: readonly Transfer[]): Map<string, bigint> {
  const balances = new Map(opening);
  const add = ({ bank, account }: AccountName, amount: bigint): void => {
    const name = `${bank}/${account}`;
    balances.set(name, (balances.get(name) ?? 0n) + amount);
  };
  for (const transfer of transfers) {
    const { told, lost, isRepaired, restoredAway } = transfer;
    if (told !== 'committed') continue;
    const missing = isRepaired ? undefined : lost;
    for (const part of partsOf(transfer)) {
      if (missing !== part && restoredAway !== part) add(transfer[part]!, BigInt(changeAt(transfer, part)));
    }
  }
  return balances;
}

export function partsOf({ also }: Pick<Transfer, 'also'>): Part[] {
  return also ? ['from', 'to', 'also'] : ['from', 'to'];
}

/** What a transfer adds to one of its accounts, in minor units. */
export function changeAt({ amount, also }: Pick<Transfer, 'amount' | 'also'>, part: Part): number {
  const half = Math.floor(amount / 2);
  switch (part) {
    case 'from':
      return -amount;
    case 'to':
      return also ? amount - half : amount;
    case 'also':
      return half;
  }
}

/** Money: the sum is unchanged, and each account matches the answers to clients. */
export function moneyChecks(opening: Balances, closing: Balances, transfers: readonly Transfer[]): Check[] {
  const [before, after] = [sumOf(opening), sumOf(closing)];
  const expected = replay(opening, transfers);
  const known = sumOf(expected) - before;
  const sum = before + known === after ? [] : [`${before} before, ${after} after`];
  const asBefore =
    known === 0n ? 'as before' : `${before} before, and ${known} by the halves that are known to be lost`;
  const wrong = [...new Set([...expected.keys(), ...closing.keys()])]
    .filter((name) => expected.get(name) !== closing.get(name))
    .map((name) => `${name}: ${closing.get(name) ?? 'missing'} instead of ${expected.get(name) ?? 'nothing'}`);
  return [
    checkOf('sum of money', sum, `${after} in all banks, ${asBefore}`),
    checkOf('per-account replay', wrong, `${expected.size} accounts match the answers clients got`),
  ];
}

export function answerCheck(transfers: readonly Transfer[]): Check {
  const open = transfers.filter(({ told }) => told === undefined).map(({ key }) => `${key} has no answer`);
  const committed = transfers.filter(({ told }) => told === 'committed').length;
  const good = `${committed} committed, ${transfers.length - committed} aborted`;
  return checkOf('every client was answered', open, good);
}

/** One node's answer about a transaction. */
export interface NodeAnswer {
  readonly node: string;
  readonly outcome: string;
}

/**
 * What each node must answer about a transfer: its client's outcome; `mixed` after one half was ended by hand; 410 for
 * one that was forgotten, or belongs to a group that lost its data.
 */
export function expectedAnswer({ told, lost, forgotten }: Transfer): string {
  if (forgotten !== undefined) return 'status 410';
  return lost ? 'mixed' : String(told);
}

/** All nodes give the same, expected answer. */
export function agreementProblems(transfer: Transfer, answers: readonly NodeAnswer[]): string[] {
  const expected = expectedAnswer(transfer);
  return answers
    .filter(({ outcome }) => outcome !== expected)
    .map(({ node, outcome }) => `${transfer.id}: client was told ${transfer.told}, ${node} says ${outcome}`);
}
