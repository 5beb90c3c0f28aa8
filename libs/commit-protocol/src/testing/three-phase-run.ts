import { invariant, randomChance, randomInteger, randomItem, SeededRandom } from '@concordat/foundation';
import { majorityOf } from '../ballots/ballot.js';
import type { CoordinatorEvent } from '../coordinator/coordinator.types.js';
import type { BranchAddress, ParticipantMessage, ReplyMessage } from '../vocabulary/messages.js';
import { delegate, type TransactionState } from '../log/transaction-state.js';
import type { BranchId, BranchSpecification, Decision, Vote } from '../vocabulary/types.js';
import { InclinedBranch } from './inclined-branch.js';
import { AT, DEADLINE, LeaderDriver, beginOf, branchOf, idOf, preparedBranch } from './leader-driver.js';
import { ParticipantProcess } from './participant-process.js';

const INCLINATIONS: readonly Vote[] = [
  ...Array.from({ length: 9 }, () => 'yes' as const),
  'read-only',
  'read-only',
  'no',
];
const STEPS = 160;
const HEALING_ROUNDS = 30;
/** A network that healing does not bring to rest goes round in circles. */
const MAXIMUM_HOPS = 2_000;

/** What came of a run, so that a test sees that runs of all kinds were among them. */
export interface RunSummary {
  readonly decision: Decision | undefined;
  /** a branch won a ballot, or adopted what another knew */
  readonly branchesDecided: boolean;
  /** a majority of the branches ended it, with all coordinators gone */
  readonly endedWithoutCoordinators: boolean;
}

/**
 * One transaction in three phases, from one seed: the real machines of the coordinator, of the log and of the
 * participants, over modelled databases, and a network that loses, repeats and reorders. Leaders are deposed, all
 * coordinators go for good, processes die between two steps in their databases or live on beside their successors, and
 * branches open ballots whenever they like. After each step and at the end AC1 to AC5 are checked.
 */
export class ThreePhaseRun {
  readonly databases = new Map<BranchId, InclinedBranch>();
  readonly driver = new LeaderDriver();
  private readonly random: SeededRandom;
  private readonly processes = new Map<string, ParticipantProcess>();
  /** those that have lost their partitions, and go on with what they have in hand */
  private deposed: ParticipantProcess[] = [];
  private toBranches: ParticipantMessage[] = [];
  private toLeader: ReplyMessage[] = [];
  private readonly alerts: string[] = [];
  private logged: Decision | undefined;
  private told: Decision | undefined;
  private branchesDecided = false;
  private coordinatorsGone = false;
  private healing = false;
  /** nothing goes wrong for the moment */
  private calm = false;
  /** participants that nobody hears of, and that hear nobody */
  private silent: ReadonlySet<string> = new Set();
  private readonly faultFree: boolean;

  constructor(seed: number, options: { readonly branches?: number; readonly inclination?: Vote } = {}) {
    this.random = new SeededRandom(seed);
    this.faultFree = this.chance(0.15);
    const interactive = this.chance(0.35);
    const count = options.branches ?? randomItem(this.random, [1, 2, 3, 3, 3, 4, 5]);
    const specifications = Array.from({ length: count }, (_, i) =>
      this.specify(i + 1, interactive, options.inclination),
    );
    for (const { participant } of specifications) this.processes.set(participant, this.processOf(participant));
    this.begin(specifications, interactive);
  }

  /** Faults, healing with or without coordinators, and what must be then. */
  run(): RunSummary {
    const calmSteps = this.chance(0.6) ? randomInteger(this.random, 0, STEPS / 2) : 0;
    for (let step = 0; step < STEPS; step++) {
      this.calm = this.faultFree || step < calmSteps;
      this.step();
    }
    let endedWithoutCoordinators = false;
    if (!this.faultFree && this.chance(0.5)) {
      this.loseCoordinators();
      this.silence();
      endedWithoutCoordinators = this.terminate();
      this.endSilence();
      this.terminate();
      this.coordinatorsGone = false;
      this.driver.failOver();
    }
    this.heal();
    this.checkEnd();
    return { decision: this.decision, branchesDecided: this.branchesDecided, endedWithoutCoordinators };
  }

  /** Nothing goes wrong until the first ballot is in the log and some branches, or none, have accepted it. */
  reachPreCommit(): void {
    this.reachFirstBallot();
    this.driver.applyAll();
    this.collect();
    for (let i = randomInteger(this.random, 0, this.toBranches.length * 3); i > 0; i--) this.hop();
    this.check();
  }

  /** Nothing goes wrong until every branch has voted yes; the first ballot is not in the log. */
  reachFirstBallot(): void {
    this.ask();
    for (let hop = 0; this.driver.inFlight.length === 0; hop++) {
      invariant(hop < MAXIMUM_HOPS, 'the first ballot is proposed');
      this.hop();
      this.check();
    }
  }

  /** Nothing goes wrong; some branches have voted yes, and some may not have heard of the transaction. */
  reachSomeVotes(): void {
    this.ask();
    for (let i = randomInteger(this.random, 0, this.toBranches.length * 6); i > 0; i--) this.hop();
  }

  /** Every branch is sent its work. */
  private ask(): void {
    this.healing = true;
    this.calm = true;
    this.driver.applyAll().handle({ type: 'commit' }).applyAll();
    this.collect();
  }

  /** All at once, with what is on its way into the log, and perhaps with messages of theirs. */
  loseCoordinators(): void {
    this.coordinatorsGone = true;
    this.driver.inFlight = [];
    this.toLeader = [];
    if (this.chance(0.5)) this.toBranches = this.toBranches.filter(() => this.chance(0.5));
  }

  /** Fewer than half of the branches are cut off. */
  silence(): void {
    const branches = [...this.databases.values()].map(({ address }) => address.participant);
    const silent = new Set<string>();
    for (const participant of new Set(branches)) {
      const talking = branches.filter((other) => other !== participant && !silent.has(other));
      if (this.chance(0.4) && talking.length * 2 > branches.length) silent.add(participant);
    }
    this.silent = silent;
  }

  endSilence(): void {
    this.silent = new Set();
  }

  /**
   * Without coordinators: those who can talk open ballots until nobody is in doubt, except who has no majority to talk to.
   * @returns whether any was opened
   */
  terminate(): boolean {
    this.healing = true;
    let opened = false;
    for (let round = 0; this.inDoubt().length > 0 || this.isMoving(); round++) {
      invariant(round < HEALING_ROUNDS, 'branches that can talk end without any coordinator');
      this.calm = round >= HEALING_ROUNDS / 3; // databases that do not answer are among what goes wrong until then
      for (const { address } of this.inDoubt()) {
        if (!this.chance(0.6)) continue;
        this.toBranches.push({ ...address, type: 'termination-due' });
        opened = true;
      }
      this.settle();
    }
    return opened;
  }

  /** Acceptors that hold something, and can talk to a majority. Others wait for a coordinator, whatever happens. */
  private inDoubt(): InclinedBranch[] {
    return [...this.databases.values()].filter(({ isPrepared, recordedVote, address, acceptors }) => {
      if (!isPrepared || recordedVote !== 'yes' || this.silent.has(address.participant)) return false;
      const talking = acceptors.filter(({ branchId, participant }) => {
        return !this.silent.has(participant) && this.databases.get(branchId)?.canAnswer;
      });
      return talking.length >= majorityOf(acceptors.length);
    });
  }

  /** What is known of the outcome, by anybody. */
  get decision(): Decision | undefined {
    return this.logged ?? this.told;
  }

  private specify(branch: number, interactive: boolean, inclination?: Vote): BranchSpecification {
    const shared = branch > 1 && this.chance(0.1) ? { participant: `bank-${branch - 1}` } : {};
    const own = inclination ?? randomItem(this.random, INCLINATIONS);
    const early = interactive && own !== 'no' && this.chance(0.5);
    const specification = early ? { ...preparedBranch(branch, own), ...shared } : branchOf(branch, shared);
    const { branchId, participant } = specification;
    const address = { transactionId: idOf(1), branchId, participant };
    this.databases.set(branchId, new InclinedBranch(address, [own], this.random, early && own === 'yes'));
    return specification;
  }

  private processOf(participant: string): ParticipantProcess {
    const own = [...this.databases].filter(([, { address }]) => address.participant === participant);
    return new ParticipantProcess(participant, new Map(own), {
      reply: (message) => void this.toLeader.push(message),
      alert: (detail) => void this.alerts.push(detail),
      send: (message) => {
        if (message.type === 'branches-decided' || (message.type === 'ballot-answer' && !message.proposer))
          this.toLeader.push(message);
        else this.toBranches.push(message);
        if (message.type === 'branches-decided') this.learn(message.decision);
      },
    });
  }

  private begin(specifications: readonly BranchSpecification[], interactive: boolean): void {
    const { driver } = this;
    if (interactive) {
      driver.begin(beginOf([], { protocol: '3pc', closed: false }));
      for (const branch of specifications) driver.propose({ type: 'enlist', transactionId: idOf(1), branch, at: AT });
      return;
    }
    const delegateTo = delegate(specifications);
    driver.begin(beginOf(specifications, { protocol: '3pc', ...(delegateTo !== undefined && { delegateTo }) }));
  }

  private step(): void {
    const choice = randomInteger(this.random, 0, this.calm ? 79 : 99);
    if (choice < 14) {
      if (this.driver.inFlight.length > 0 && !this.coordinatorsGone) this.driver.applyNext();
    } else if (choice < 74) this.hop();
    else if (choice < 78) this.tell({ type: 'commit' });
    else if (choice < 79) this.driver.flushDone();
    else if (choice < 80) this.inquire();
    else if (choice < 84) this.tell({ type: 'resend' });
    else if (choice < 85) this.pass();
    else if (choice < 86) this.maybeAbort();
    else if (choice < 88) this.failProposal();
    else if (choice < 91) this.lose();
    else if (choice < 94) this.makeDue();
    else if (choice < 97) this.crash();
    else this.failOver();
    this.collect();
    this.check();
  }

  /** A message is delivered, or something in hand goes on. */
  private hop(): void {
    const busy = [...this.processes.values(), ...this.deposed].filter((process) => this.canProceed(process));
    const choice = randomInteger(this.random, 0, 2);
    if (choice === 0 && busy.length > 0) {
      const process = randomItem(this.random, busy);
      if (!this.calm && this.chance(0.02)) process.loseAnswer();
      else process.proceed();
    } else if (choice === 1) this.deliverToLeader();
    else this.deliverToBranch();
  }

  private canProceed(process: ParticipantProcess): boolean {
    const isSilent = [...this.silent].some((participant) => this.processes.get(participant) === process);
    return process.isBusy && !isSilent;
  }

  private deliverToBranch(): void {
    const message = this.pick(this.toBranches, (candidate) => !this.silent.has(recipientOf(candidate)));
    if (message) this.processes.get(recipientOf(message))?.receive(message);
  }

  private deliverToLeader(): void {
    const message = this.pick(this.toLeader, () => true);
    if (!message || message.type === 'announce' || this.coordinatorsGone) return;
    const { driver } = this;
    const event = message.type === 'inquiry' ? message : ({ type: message.type, message } as CoordinatorEvent);
    if (driver.machine) driver.handle(event);
    else if (driver.state.find(idOf(1))) driver.handleEnded(event);
    else if (message.type === 'inquiry' || (message.type === 'vote' && message.vote === 'yes'))
      this.presumeAbort(message);
  }

  private presumeAbort({ transactionId, branchId, participant }: BranchAddress): void {
    this.toBranches.push({ type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 });
  }

  private tell(event: CoordinatorEvent): void {
    if (!this.coordinatorsGone && this.driver.inFlight.length === 0) this.driver.handle(event);
  }

  private pass(): void {
    this.driver.now = DEADLINE;
    this.driver.handle({ type: 'deadline' });
  }

  private maybeAbort(): void {
    if (this.chance(0.3)) this.tell({ type: 'abort', cause: { reason: 'CLIENT_ABORTED', detail: '' } });
  }

  private inquire(): void {
    for (const branch of this.databases.values()) if (branch.isPrepared) this.toLeader.push(branch.inquiry());
  }

  private failProposal(): void {
    const { driver } = this;
    const last = driver.inFlight.at(-1)?.type;
    if (last !== 'decide' && last !== 'pre-commit' && last !== 'commit-requested') return;
    driver.inFlight.pop();
    driver.handle({ type: 'proposal-failed' });
  }

  private lose(): void {
    const lost = randomItem(this.random, [this.toBranches, this.toLeader]);
    if (lost.length > 0) lost.splice(randomInteger(this.random, 0, lost.length - 1), 1);
  }

  private makeDue(): void {
    const waiting = this.inDoubt();
    if (waiting.length > 0)
      this.toBranches.push({ ...randomItem(this.random, waiting).address, type: 'termination-due' });
  }

  /** The process dies, or its database does not answer, or its partitions go to another one while it still works. */
  private crash(): void {
    const participant = randomItem(this.random, [...this.processes.keys()]);
    const process = this.processes.get(participant)!;
    if (this.chance(0.3)) return process.loseAnswer();
    if (process.isBusy && this.chance(0.5)) this.deposed.push(process);
    this.processes.set(participant, this.processOf(participant));
  }

  /** Some of what is in flight is committed before the next leader acts; the rest is lost. */
  private failOver(): void {
    const { driver } = this;
    const { machine } = driver;
    driver.machine = undefined; // it does not see what is applied after it was deposed
    for (let i = randomInteger(this.random, 0, driver.inFlight.length); i > 0; i--) driver.applyNext();
    driver.machine = machine;
    driver.failOver();
  }

  /** Faults are over, and coordinators are there: everything is delivered, repeated and asked for. */
  private heal(): void {
    this.healing = true;
    this.calm = true;
    for (let round = 0; round < HEALING_ROUNDS && !this.isOver(); round++) {
      if (this.driver.inFlight.length === 0) this.driver.handle({ type: 'commit' });
      if (round > HEALING_ROUNDS / 2) this.pass(); // what lacks a vote is aborted now
      this.driver.handle({ type: 'resend' }).flushDone();
      this.inquire();
      this.settle();
    }
  }

  /** Everything that is under way arrives. */
  private settle(): void {
    for (let hop = 0; this.isMoving(); hop++) {
      invariant(hop < MAXIMUM_HOPS, 'the network comes to rest');
      if (this.driver.inFlight.length > 0 && !this.coordinatorsGone) this.driver.applyNext();
      this.collect();
      this.hop();
      this.check();
    }
  }

  private isMoving(): boolean {
    const working = [...this.processes.values(), ...this.deposed].some((process) => this.canProceed(process));
    const deliverable = this.toBranches.some((message) => !this.silent.has(recipientOf(message)));
    const inFlight = !this.coordinatorsGone && this.driver.inFlight.length + this.driver.sent.length > 0;
    return working || deliverable || inFlight || this.toLeader.length > 0;
  }

  private isOver(): boolean {
    const { endedAt } = this.transaction ?? { endedAt: AT };
    return endedAt !== undefined && [...this.databases.values()].every(({ isPrepared }) => !isPrepared);
  }

  private collect(): void {
    if (!this.coordinatorsGone) this.toBranches.push(...this.driver.sent);
    this.driver.sent = [];
  }

  private get transaction(): TransactionState | undefined {
    return this.driver.state.find(idOf(1));
  }

  /** The branches say what they decided. */
  private learn(decision: Decision): void {
    this.branchesDecided = true;
    invariant(this.told === undefined || this.told === decision, 'AC1: all ballots decide the same');
    this.told = decision;
  }

  private check(): void {
    const { transaction } = this;
    invariant(!this.logged || transaction?.decision === this.logged, 'AC2: a decision never changes');
    this.logged = transaction?.decision;
    const { decision, logged, told } = this;
    invariant(!logged || !told || logged === told, 'AC1: the log has what the branches decided');
    invariant(this.alerts.length === 0, `no branch raises an alert: ${this.alerts.join('; ')}`);
    const members = this.members();
    for (const { ledger, address } of members) {
      const delegated = transaction?.delegatedTo === address.branchId;
      invariant(ledger !== 'committed' || delegated || decision === 'commit', 'AC1: no branch commits alone');
      invariant(ledger !== 'aborted' || decision !== 'commit', 'AC1: no branch aborts what is committed');
    }
    if (decision !== 'commit' || transaction?.delegatedTo !== undefined) return;
    const willing = members.every(({ recordedVote }) => recordedVote === 'yes' || recordedVote === 'read-only');
    invariant(willing, 'AC3: a commit has the recorded consent of every branch');
    const heldNothing = members.every(({ recordedVote }) => recordedVote === 'read-only');
    invariant(transaction?.preCommit ?? heldNothing, 'section 6: a ballot was open before anything is committed');
  }

  private checkEnd(): void {
    const { transaction, driver } = this;
    invariant(driver.alerts.length === 0, `no leader raises an alert: ${driver.alerts.join('; ')}`);
    invariant(!transaction || transaction.endedAt !== undefined, 'AC5: the transaction ends');
    const members = new Set(this.members());
    for (const database of this.databases.values()) {
      invariant(!database.isPrepared, 'AC5: nothing stays in doubt');
      const commits = transaction?.decision === 'commit' && members.has(database);
      if (!commits) invariant(database.ledger !== 'committed', 'AC1: nothing is committed of what is aborted');
      else invariant(database.ledger === 'committed' || database.hasOnlyRead, 'AC1: all commit');
    }
    const willing = [...this.databases.values()].every(({ inclinations }) => !inclinations.includes('no'));
    invariant(!this.faultFree || !willing || this.logged === 'commit', 'AC4: no fault and all yes commits');
  }

  /** Without branches whose enlistment was lost or came too late. */
  private members(): InclinedBranch[] {
    const branches = this.transaction?.branches ?? [];
    return branches.map(({ branchId }) => this.databases.get(branchId)!);
  }

  /** Takes a message out of the network; with faults it may stay and come again. */
  private pick<T>(messages: T[], mayMove: (message: T) => boolean): T | undefined {
    const candidates = messages.filter(mayMove);
    if (candidates.length === 0) return undefined;
    const message = randomItem(this.random, candidates);
    const repeats = !this.healing && !this.calm && this.chance(0.2);
    if (!repeats) messages.splice(messages.indexOf(message), 1);
    return message;
  }

  private chance(probability: number): boolean {
    return randomChance(this.random, probability);
  }
}

/** Whose process reads a message: for an answer, that of the branch which has asked. */
function recipientOf(message: ParticipantMessage): string {
  return message.type === 'ballot-answer' ? (message.proposer?.participant ?? '') : message.participant;
}
