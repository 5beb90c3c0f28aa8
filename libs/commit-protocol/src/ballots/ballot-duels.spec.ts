import { describe, expect, it } from '@jest/globals';
import { invariant, randomInteger, SeededRandom } from '@concordat/foundation';
import type { ParticipantMessage } from '../vocabulary/messages.js';
import { InclinedBranch } from '../testing/inclined-branch.js';
import { idOf } from '../testing/leader-driver.js';
import { ParticipantProcess } from '../testing/participant-process.js';

const SEEDS = 300;
/** After so long without a word of a coordinator a branch opens a ballot, and again after as long without an end. */
const TIMEOUT_MS = 5_000;
const MAXIMUM_GROWTH = 8;
const GIVE_UP_MS = 100 * TIMEOUT_MS;

interface Conditions {
  readonly branches: number;
  /** drawn anew each time, on top of the timeout */
  readonly jitterMs: number;
  /** each further wait is so many times as long, up to `MAXIMUM_GROWTH` times */
  readonly growth: number;
  /** of a message, and of a step in a database; at least 1 */
  readonly longestDelayMs: number;
}

interface DuelResult {
  /** ballots of the branch that opened most */
  readonly most: number;
  readonly endedAtMs: number;
}

/** All branches have voted yes, no coordinator is left, and all of them come to open ballots; in simulated time. */
class Duel {
  private readonly random: SeededRandom;
  private readonly agenda: { readonly at: number; readonly run: () => void }[] = [];
  private readonly databases: InclinedBranch[] = [];
  private readonly processes = new Map<string, ParticipantProcess>();
  private readonly opened = new Map<string, number>();
  private now = 0;

  constructor(
    seed: number,
    private readonly conditions: Conditions,
  ) {
    this.random = new SeededRandom(seed);
    for (let branch = 1; branch <= conditions.branches; branch++) {
      const address = { transactionId: idOf(1), branchId: idOf(1, branch), participant: `bank-${branch}` };
      this.databases.push(new InclinedBranch(address, ['yes'], this.random));
    }
    const acceptors = this.databases.map(({ address: { branchId, participant } }) => ({ branchId, participant }));
    for (const database of this.databases) {
      const { address } = database;
      const common = { operations: [], deadline: 0, attempt: 0, epoch: { term: 1, index: 1 } };
      for (const _step of database.prepare({ ...address, type: 'prepare', protocol: '3pc', acceptors, ...common }));
      this.processes.set(address.participant, this.processOf(database));
      this.wait(database);
    }
  }

  run(): DuelResult {
    while (this.databases.some(({ ledger }) => ledger === undefined)) {
      invariant(this.now < GIVE_UP_MS, 'the branches come to an end');
      this.agenda.sort((a, b) => a.at - b.at);
      const next = this.agenda.shift();
      invariant(next, 'a branch in doubt waits for something');
      this.now = next.at;
      next.run();
    }
    expect(new Set(this.databases.map(({ ledger }) => ledger)).size).toBe(1);
    return { most: Math.max(...this.opened.values()), endedAtMs: this.now };
  }

  private processOf(database: InclinedBranch): ParticipantProcess {
    const { branchId, participant } = database.address;
    return new ParticipantProcess(participant, new Map([[branchId, database]]), {
      reply: () => undefined, // nobody is there
      alert: (detail) => invariant(false, detail),
      send: (message) => {
        if (message.type !== 'branches-decided') this.deliver(message);
      },
    });
  }

  private deliver(message: ParticipantMessage): void {
    const recipient = message.type === 'ballot-answer' ? message.proposer?.participant : message.participant;
    const process = this.processes.get(recipient ?? '');
    invariant(process, 'a branch writes to another');
    this.later(this.delay(), () => {
      const wasBusy = process.isBusy;
      process.receive(message);
      if (!wasBusy) this.work(process);
    });
  }

  private work(process: ParticipantProcess): void {
    if (!process.isBusy) return;
    this.later(this.delay(), () => {
      process.proceed();
      this.work(process);
    });
  }

  private wait(database: InclinedBranch): void {
    const { jitterMs, growth } = this.conditions;
    const growthNow = Math.min(MAXIMUM_GROWTH, growth ** (this.opened.get(database.address.branchId) ?? 0));
    const delayMs = Math.floor(growthNow * (TIMEOUT_MS + randomInteger(this.random, 0, jitterMs)));
    this.later(delayMs, () => {
      if (!database.isPrepared) return;
      const { address } = database;
      this.opened.set(address.branchId, (this.opened.get(address.branchId) ?? 0) + 1);
      this.deliver({ ...address, type: 'termination-due' });
      this.wait(database);
    });
  }

  private delay(): number {
    return randomInteger(this.random, 1, this.conditions.longestDelayMs);
  }

  private later(delayMs: number, run: () => void): void {
    this.agenda.push({ at: this.now + delayMs, run });
  }
}

function duel(conditions: Conditions): DuelResult {
  let worst: DuelResult = { most: 0, endedAtMs: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const { most, endedAtMs } = new Duel(seed, conditions).run();
      worst = { most: Math.max(worst.most, most), endedAtMs: Math.max(worst.endedAtMs, endedAtMs) };
    } catch (cause) {
      throw new Error(`seed ${seed}: run it alone with new Duel(${seed}, ${JSON.stringify(conditions)}).run()`, {
        cause,
      });
    }
  }
  return worst;
}

const JITTER_MS = TIMEOUT_MS / 2;

describe('protocol 6: ballots of several branches at once', () => {
  it.each<Conditions>([
    { branches: 3, jitterMs: JITTER_MS, longestDelayMs: 50, growth: 1 },
    { branches: 5, jitterMs: JITTER_MS, longestDelayMs: 50, growth: 1 },
    { branches: 5, jitterMs: JITTER_MS, longestDelayMs: 200, growth: 1 },
    { branches: 5, jitterMs: 0, longestDelayMs: 50, growth: 1 }, // all at the same moment: the highest number wins
  ])('end with the first of each branch, where messages are quick: %j', (conditions) => {
    const { most, endedAtMs } = duel(conditions);
    expect(most).toBe(1);
    expect(endedAtMs).toBeLessThan(2 * TIMEOUT_MS);
  });

  // one ballot takes ten hops and more: branches that wait for no longer than that outbid each other again and again
  it.each<[number, Conditions]>([
    [10, { branches: 3, jitterMs: JITTER_MS, longestDelayMs: TIMEOUT_MS / 10, growth: 1 }],
    [10, { branches: 9, jitterMs: JITTER_MS, longestDelayMs: TIMEOUT_MS / 10, growth: 1 }],
    [90, { branches: 5, jitterMs: JITTER_MS, longestDelayMs: TIMEOUT_MS / 4, growth: 1 }],
    [4, { branches: 5, jitterMs: JITTER_MS, longestDelayMs: TIMEOUT_MS / 4, growth: 2 }],
    [4, { branches: 9, jitterMs: JITTER_MS, longestDelayMs: TIMEOUT_MS / 4, growth: 2 }],
  ])('end with at most %d of one branch, where a ballot takes as long as the timeout: %j', (most, conditions) => {
    expect(duel(conditions).most).toBeLessThanOrEqual(most);
  });
});
