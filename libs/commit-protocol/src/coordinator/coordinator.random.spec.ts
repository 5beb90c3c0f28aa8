import { describe, it } from '@jest/globals';
import { SeededRandom, invariant, randomChance, randomInteger, randomItem } from '@concordat/foundation';
import type {
  BallotAnswerMessage,
  BranchAddress,
  BranchesDecidedMessage,
  CoordinatorMessage,
  DoneMessage,
  ReplyMessage,
  VoteMessage,
} from '../vocabulary/messages.js';
import { InclinedBranch } from '../testing/inclined-branch.js';
import { AT, DEADLINE, LeaderDriver, beginOf, branchOf, idOf, preparedBranch } from '../testing/leader-driver.js';
import type { CoordinatorEvent } from './coordinator.types.js';
import { delegate } from '../log/transaction-state.js';
import type { BranchSpecification, Decision, Vote } from '../vocabulary/types.js';

const SEEDS = 3_000;
const STEPS = 60;
const HEALING_ROUNDS = 40;
const INCLINATIONS: readonly (readonly Vote[])[] = [
  ['yes'],
  ['yes'],
  ['read-only'],
  ['yes', 'read-only'],
  ['yes', 'no'],
  ['no'],
  ['yes', 'no', 'read-only'],
];

/** One transaction, its branches and a network that loses, repeats and reorders, all from one seed. */
class RandomRun {
  private readonly random: SeededRandom;
  private readonly driver = new LeaderDriver();
  private readonly branches = new Map<string, InclinedBranch>();
  private toBranches: CoordinatorMessage[] = [];
  private toLeader: ReplyMessage[] = [];
  private decided: Decision | undefined;
  private healing = false;
  private readonly faultFree: boolean;
  private readonly willing: boolean;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.faultFree = this.chance(0.2);
    const interactive = this.chance(0.4);
    const count = randomInteger(this.random, 1, 3);
    const specifications = Array.from({ length: count }, (_, i) => this.specify(i + 1, interactive));
    this.willing = [...this.branches.values()].every((branch) => !branch.inclinations.includes('no'));
    this.begin(specifications, interactive);
  }

  run(): void {
    for (let step = 0; step < STEPS; step++) {
      this.step();
      this.check();
    }
    this.heal();
  }

  private specify(branch: number, interactive: boolean): BranchSpecification {
    const early = interactive && this.chance(0.4);
    const specification = early ? preparedBranch(branch) : branchOf(branch);
    const { branchId, participant } = specification;
    const address = { transactionId: idOf(1), branchId, participant };
    const inclinations = randomItem(this.random, INCLINATIONS);
    this.branches.set(branchId, new InclinedBranch(address, inclinations, this.random, early));
    return specification;
  }

  private begin(specifications: readonly BranchSpecification[], interactive: boolean): void {
    if (interactive) {
      this.driver.begin(beginOf([], { closed: false }));
      for (const branch of specifications) {
        this.driver.propose({ type: 'enlist', transactionId: idOf(1), branch, at: AT });
      }
      return;
    }
    const delegateTo = this.chance(0.7) ? delegate(specifications) : undefined;
    this.driver.begin(beginOf(specifications, delegateTo === undefined ? {} : { delegateTo }));
  }

  private step(): void {
    const { driver } = this;
    if (!this.faultFree && this.chance(0.03)) return this.rule();
    const choice = randomInteger(this.random, 0, this.faultFree ? 69 : 99);
    if (choice < 20) {
      if (driver.inFlight.length > 0) driver.applyNext();
    } else if (choice < 40) this.deliverToBranch();
    else if (choice < 60) this.deliverToLeader();
    else if (choice < 64) {
      if (driver.inFlight.length === 0) driver.handle({ type: 'commit' });
    } else if (choice < 67) driver.flushDone();
    else if (choice < 70) this.inquire();
    else if (choice < 78) driver.handle({ type: 'commit' });
    else if (choice < 84) driver.handle({ type: 'resend' });
    else if (choice < 87) this.pass();
    else if (choice < 88) driver.handle({ type: 'abort', cause: { reason: 'CLIENT_ABORTED', detail: '' } });
    else if (choice < 91) this.failProposal();
    else if (choice < 94) this.lose();
    else this.failOver();
    this.collect();
  }

  /** An operator rules something: mostly what is allowed, now and then by force, and not always in time. */
  private rule(): void {
    const { driver } = this;
    const action = randomItem(this.random, ['commit', 'abort', 'forget'] as const);
    const force = this.chance(0.3);
    const branch = randomItem(this.random, [...this.branches.keys()]);
    driver.propose({
      type: 'resolve',
      transactionId: idOf(1),
      ...(force && { branchId: branch }),
      action,
      operator: 'ann',
      reason: 'at random',
      force,
      reports: action === 'forget' ? [] : (driver.machine?.reportsFor(action) ?? []),
      at: driver.now,
    });
  }

  /** The deadline passes. */
  private pass(): void {
    this.driver.now = DEADLINE;
    this.driver.handle({ type: 'deadline' });
  }

  /** The log certainly did not take the machine's latest proposal. */
  private failProposal(): void {
    const last = this.driver.inFlight.at(-1);
    if (last?.type !== 'decide' && last?.type !== 'commit-requested') return;
    this.driver.inFlight.pop();
    this.driver.handle({ type: 'proposal-failed' });
  }

  private lose(): void {
    this.pick(this.toBranches, false);
    this.pick(this.toLeader, false);
  }

  /** Some of what is in flight is committed before the next leader acts; the rest is lost. */
  private failOver(): void {
    const { driver } = this;
    const survivors = randomInteger(this.random, 0, driver.inFlight.length);
    const machine = driver.machine;
    driver.machine = undefined; // it does not see what is applied after it was deposed
    for (let i = 0; i < survivors; i++) driver.applyNext();
    driver.machine = machine;
    driver.failOver();
  }

  private deliverToBranch(): void {
    const message = this.pick(this.toBranches, true);
    const reply = message && this.branches.get(message.branchId)?.receive(message);
    if (reply) this.toLeader.push(reply);
  }

  private deliverToLeader(): void {
    const message = this.pick(this.toLeader, true);
    if (!message || message.type === 'announce') return;
    const { driver } = this;
    const event = message.type === 'inquiry' ? message : eventOf(message);
    if (driver.machine) driver.handle(event);
    else if (driver.state.find(idOf(1))) driver.handleEnded(event);
    else if (message.type === 'inquiry' || (message.type === 'vote' && message.vote === 'yes'))
      this.presumeAbort(message);
  }

  private presumeAbort({ transactionId, branchId, participant }: BranchAddress): void {
    this.toBranches.push({ type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 });
  }

  private inquire(): void {
    for (const branch of this.branches.values()) if (branch.isPrepared) this.toLeader.push(branch.inquiry());
  }

  /** Faults are over: everything is delivered, repeated and asked for. */
  private heal(): void {
    const { driver } = this;
    this.healing = true;
    for (let round = 0; round < HEALING_ROUNDS; round++) {
      driver.handle({ type: 'commit' });
      if (round > HEALING_ROUNDS / 2) this.pass(); // a transaction that lacks a vote is aborted now
      if (round > HEALING_ROUNDS / 2) this.forgetHazards();
      driver.handle({ type: 'resend' }).flushDone().applyAll();
      this.collect();
      this.inquire();
      for (let hop = 0; this.toBranches.length + this.toLeader.length > 0; hop++) {
        invariant(hop < 10, 'the network comes to rest');
        while (this.toBranches.length > 0) this.deliverAll();
        while (this.toLeader.length > 0) this.deliverToLeader();
        this.collect();
      }
      this.check();
    }
    this.checkEnd();
  }

  private deliverAll(): void {
    for (const message of this.toBranches.splice(0)) {
      const reply = this.branches.get(message.branchId)?.receive(message);
      if (reply) this.toLeader.push(reply);
    }
  }

  private collect(): void {
    this.toBranches.push(...this.driver.sent);
    this.driver.sent = [];
  }

  private check(): void {
    const transaction = this.driver.state.find(idOf(1));
    invariant(!this.decided || transaction?.decision === this.decided, 'AC2: a decision never changes');
    this.decided = transaction?.decision;
    for (const branch of this.branches.values()) {
      const { ledger, isPrepared, hasOnlyRead, address } = branch;
      const delegated = transaction?.delegatedTo === address.branchId;
      if (this.isExempt(branch)) continue; // what an operator forces, or gives up, is the operator's
      invariant(ledger !== 'committed' || delegated || this.decided === 'commit', 'AC1: no branch commits alone');
      if (this.decided !== 'commit' || !this.isMember(branch)) continue;
      invariant(isPrepared || ledger === 'committed' || hasOnlyRead, 'AC3: a commit has the consent of every branch');
    }
  }

  private checkEnd(): void {
    const { driver, faultFree, willing } = this;
    const transaction = driver.state.find(idOf(1));
    const exempt = [...this.branches.values()].some((branch) => this.isExempt(branch));
    invariant(exempt || driver.alerts.length === 0, `nothing is alerted: ${driver.alerts.join('; ')}`);
    invariant(!transaction || transaction.endedAt !== undefined, 'AC5: the transaction ends');
    for (const branch of this.branches.values()) {
      invariant(!branch.isPrepared, 'AC5: nothing stays in doubt');
      if (this.isExempt(branch)) continue;
      const commits = transaction?.decision === 'commit' && this.isMember(branch);
      const committed = branch.ledger === 'committed';
      invariant(commits ? committed || branch.hasOnlyRead : !committed, 'AC1: every branch reaches the decision');
    }
    invariant(!faultFree || !willing || transaction?.decision === 'commit', 'AC4: no fault and all yes commits');
  }

  /** Whether an operator ruled about this very branch. */
  private isExempt({ address }: InclinedBranch): boolean {
    const known = this.driver.state.find(idOf(1))?.branches.find(({ branchId }) => branchId === address.branchId);
    return known?.ruling !== undefined || known?.forgotten === true;
  }

  /** The operator gives up what cannot end by itself. */
  private forgetHazards(): void {
    const transaction = this.driver.state.find(idOf(1));
    if (transaction?.outcome !== 'mixed' || transaction.endedAt !== undefined) return;
    const record = { operator: 'ann', reason: 'known', force: false, reports: [], at: this.driver.now } as const;
    this.driver.propose({ type: 'resolve', transactionId: idOf(1), action: 'forget', ...record });
  }

  /** False for a branch whose enlistment was lost or came too late. */
  private isMember({ address }: InclinedBranch): boolean {
    const branches = this.driver.state.find(idOf(1))?.branches ?? [];
    return branches.some(({ branchId }) => branchId === address.branchId);
  }

  /** Takes a message out of the network; with faults it may stay and come again. */
  private pick<T>(messages: T[], mayRepeat: boolean): T | undefined {
    if (messages.length === 0) return undefined;
    const at = randomInteger(this.random, 0, messages.length - 1);
    const repeats = mayRepeat && !this.healing && !this.faultFree && this.chance(0.2);
    return repeats ? messages[at] : messages.splice(at, 1)[0];
  }

  private chance(probability: number): boolean {
    return randomChance(this.random, probability);
  }
}

function eventOf(message: VoteMessage | DoneMessage | BallotAnswerMessage | BranchesDecidedMessage): CoordinatorEvent {
  return { type: message.type, message } as CoordinatorEvent;
}

describe('the coordinator under random faults', () => {
  it(`AC1 to AC5 hold in ${SEEDS} runs of lost, repeated and reordered messages, fail-overs and lost proposals`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        new RandomRun(seed).run();
      } catch (cause) {
        throw new Error(`seed ${seed}: run it alone with new RandomRun(${seed}).run()`, { cause });
      }
    }
  });
});
