import { invariant } from '@concordat/foundation';
import { majorityOf, type Outcome, type Vote } from '@concordat/commit-protocol';
import type { MachineTable, Step } from '../machine-table.js';
import type { Action, PackedState, Violation, World } from '../world.js';
import { action, readAction, type ActionKind } from './action-kinds.js';
import { Actors, type BranchEffect, type NodeEffect } from './actors.js';
import { describeAction, describeState } from './describe.js';
import { Healing } from './healing.js';
import {
  addMessage,
  pack,
  removeMessage,
  SAID_ABORTED,
  SAID_NO,
  SAID_READ_ONLY,
  SAID_YES,
  UNBOUNDED,
  unpack,
  type BranchSlot,
  type Draft,
} from './layout.js';
import { BOUND_NAMES, type Bounds, type CommitOptions } from './options.js';
import { Rules } from './rules.js';

const ANSWERS = { 'answer-yes': 'yes', 'answer-no': 'no', 'answer-read-only': 'read-only' } as const;
const ANSWER_KINDS: Readonly<Record<Vote, ActionKind>> = {
  yes: 'answer-yes',
  no: 'answer-no',
  'read-only': 'answer-read-only',
};

/**
 * One transaction under either protocol, with the real machines: a leader and at most one deposed leader that
 * does not know it, the replicated log, and for each branch a process and a database.
 *
 * Messages arrive in any order, late, twice or never. A leader dies or is deposed at any time; of what it has
 * proposed, any part from the oldest on may be in the log then, and its successor begins with that. Processes of
 * participants die at any time; an operation that was in hand is carried out later, or never. In three phases a
 * prepared branch may lose its patience at any time and open a ballot, whether a coordinator is there or not.
 */
export class CommitWorld implements World {
  readonly actors: Actors;
  readonly rules: Rules;
  private readonly healing: Healing;

  constructor(readonly options: CommitOptions) {
    invariant(options.branches >= 1 && options.branches <= 3, 'a model has one to three branches');
    const { instantBranches, bounds } = options;
    const isCut = bounds.participantCrashes > 0 || bounds.brokenConnections > 0;
    invariant(!(instantBranches === true && isCut), 'a branch that does all in one step is never cut short in it');
    this.actors = new Actors(options);
    this.rules = new Rules(this.actors, options);
    this.healing = new Healing(this, this.rules);
  }

  initial(): PackedState {
    const draft = this.nothingHappened();
    switch (this.options.start) {
      case undefined:
      case 'begin':
        break;
      case 'voted':
        this.vote(draft);
        break;
      case 'orphaned':
        this.vote(draft);
        this.perform(draft, 'commit-record', 0);
    }
    return pack(draft);
  }

  /** The shortest way to where all votes are known to the leader. */
  private vote(draft: Draft): void {
    const { actors, options } = this;
    this.perform(draft, 'begin', 0);
    this.perform(draft, 'commit-record', 0);
    for (;;) {
      const [message] = draft.messages;
      const busy = draft.branches.findIndex(({ process }) => actors.processes.at(process).inHand);
      if (message !== undefined) this.perform(draft, 'deliver', message);
      else if (busy >= 0) this.perform(draft, ANSWER_KINDS[options.inclinations[busy] ?? 'yes'], busy);
      else return;
    }
  }

  private nothingHappened(): Draft {
    const { actors, options } = this;
    const log = actors.initialLog();
    const { next } = actors.elect(log, 1, false);
    const branches = Array.from({ length: options.branches }, (_, branch) => ({
      process: actors.initialProcess(branch),
      database: actors.initialDatabase(branch),
      said: 0,
    }));
    const left = BOUND_NAMES.map((name) => Math.min(options.bounds[name], UNBOUNDED));
    return {
      log,
      leader: next,
      deposed: -1,
      term: 1,
      begun: false,
      late: false,
      refused: false,
      told: 0,
      breach: 0,
      impatient: false,
      branchesDecided: 0,
      ballotTerm: 0,
      left,
      branches,
      messages: [],
    };
  }

  unpack(state: PackedState): Draft {
    return unpack(state, this.options.branches);
  }

  actions(state: PackedState): readonly Action[] {
    const draft = this.unpack(state);
    if (!draft.begun) {
      // Elections before the begin give a deposed leader that knows nothing of the transaction.
      return this.has(draft, 'depositions') ? [action('begin'), action('leader-deposed')] : [action('begin')];
    }
    const actions: Action[] = [];
    if (!this.isOrphaned) {
      this.addLogActions(draft, actions);
      this.addTimeActions(draft, actions);
    }
    this.addMessageActions(draft, actions);
    for (const [branch, slot] of draft.branches.entries()) this.addBranchActions(draft, branch, slot, actions);
    return actions;
  }

  apply(state: PackedState, packed: Action): PackedState {
    const { kind, subject } = readAction(packed);
    const draft = this.unpack(state);
    this.perform(draft, kind, subject);
    if (this.isOrphaned || this.options.donesLost === true) {
      draft.messages = draft.messages.filter((message) => !this.isLost(message));
    }
    return pack(draft);
  }

  private isLost(message: number): boolean {
    return this.isOrphaned ? this.actors.isReply(message) : this.actors.message(message).type === 'done';
  }

  private get isOrphaned(): boolean {
    return this.options.start === 'orphaned';
  }

  fingerprint(state: PackedState): PackedState {
    return state;
  }

  check(state: PackedState): Violation | undefined {
    const draft = this.unpack(state);
    return this.rules.check(draft) ?? this.healing.check(draft);
  }

  describe(state: PackedState, packed: Action): string {
    const { kind, subject } = readAction(packed);
    return describeAction(this.actors, this.unpack(state), kind, subject);
  }

  /** The outcomes that the log has come to anywhere so far. */
  outcomes(): ReadonlySet<Outcome> {
    const outcomes = new Set<Outcome>();
    for (let log = 0; log < this.actors.logs.size; log++) {
      const outcome = this.actors.transactionOf(log)?.outcome;
      if (outcome) outcomes.add(outcome);
    }
    return outcomes;
  }

  /** Everything in a state, in words: the same text for the same state of two worlds. */
  describeState(state: PackedState): string {
    return describeState(this.actors, this.unpack(state));
  }

  perform(draft: Draft, kind: ActionKind, subject: number): void {
    switch (kind) {
      case 'begin':
        draft.begun = true;
        return this.leaderStep(draft, this.actors.nodeStep(draft.leader, 'begin', draft.late));
      case 'commit-record':
        return this.leaderStep(draft, this.actors.nodeStep(draft.leader, 'committed', draft.late));
      case 'fail-proposal':
        this.spend(draft, 'failedProposals');
        return this.leaderStep(draft, this.actors.nodeStep(draft.leader, 'proposal-failed', draft.late));
      case 'leader-dies':
      case 'leader-deposed':
        return this.changeLeader(draft, subject, kind === 'leader-deposed');
      case 'deadline-passes':
        this.spend(draft, 'deadlines');
        draft.late = true;
        return;
      case 'deadline-fires':
        return this.leaderStep(draft, this.actors.nodeStep(draft.leader, 'deadline', draft.late));
      case 'deadline-fires-at-deposed':
        return this.deposedStep(draft, this.actors.nodeStep(draft.deposed, 'deadline', draft.late));
      case 'resend':
        this.spend(draft, 'resends');
        return this.leaderStep(draft, this.actors.nodeStep(draft.leader, 'resend', draft.late));
      case 'resend-of-deposed':
        this.spend(draft, 'resends');
        return this.deposedStep(draft, this.actors.nodeStep(draft.deposed, 'resend', draft.late));
      case 'deliver':
        removeMessage(draft, subject);
        return this.deliver(draft, subject);
      case 'deliver-and-keep':
        this.spend(draft, 'duplicates');
        return this.deliver(draft, subject);
      case 'deliver-to-deposed':
        return this.deposedStep(draft, this.actors.nodeReceives(draft.deposed, subject, false, draft.late), subject);
      default:
        return this.performAtBranch(draft, kind, subject);
    }
  }

  private performAtBranch(draft: Draft, kind: ActionKind, branch: number): void {
    const { actors } = this;
    const slot = draft.branches[branch];
    invariant(slot, 'an action at a branch names one');
    switch (kind) {
      case 'answer-yes':
      case 'answer-no':
      case 'answer-read-only':
        return this.answer(draft, slot, ANSWERS[kind]);
      case 'break-connection':
        this.spend(draft, 'brokenConnections');
        this.abandon(slot);
        return this.branchStep(draft, slot, actors.processUnanswered(slot.process));
      case 'late-operation':
      case 'late-operation-ends':
        slot.database = actors.settleLate(slot.database, kind === 'late-operation');
        return;
      case 'drop-work':
        return this.branchStep(draft, slot, actors.processUnanswered(slot.process));
      case 'participant-dies':
        this.spend(draft, 'participantCrashes');
        if (actors.processes.at(slot.process).inHand) this.abandon(slot);
        slot.process = actors.initialProcess(branch);
        return;
      case 'inquire':
        this.spend(draft, 'inquiries');
        addMessage(draft, actors.inquiry(branch));
        return;
      case 'waits-too-long':
        this.spend(draft, 'terminations');
        draft.impatient = true;
        return this.branchStep(draft, slot, actors.processWaitedTooLong(slot.process));
      case 'hand-commits':
      case 'hand-aborts':
        this.spend(draft, 'endingsByHand');
        slot.database = actors.endByHand(slot.database, kind === 'hand-commits' ? 'commit' : 'abort');
        return;
      case 'forgets':
      case 'forgets-unnoticed':
        this.spend(draft, 'amnesias');
        slot.database = actors.forget(slot.database, kind === 'forgets');
        return;
      default:
        invariant(false, `${kind} does not happen at a branch`);
    }
  }

  private addLogActions(draft: Draft, actions: Action[]): void {
    const { proposed } = this.actors.nodes.at(draft.leader);
    if (proposed.length > 0) actions.push(action('commit-record'));
    const youngest = proposed[proposed.length - 1];
    if (youngest && youngest.type !== 'branches-done' && this.has(draft, 'failedProposals')) {
      actions.push(action('fail-proposal'));
    }
    for (let survivors = 0; survivors <= proposed.length; survivors++) {
      if (this.has(draft, 'leaderDeaths')) actions.push(action('leader-dies', survivors));
      if (this.has(draft, 'depositions')) actions.push(action('leader-deposed', survivors));
    }
  }

  private addTimeActions(draft: Draft, actions: Action[]): void {
    if (!draft.late && this.has(draft, 'deadlines')) actions.push(action('deadline-passes'));
    const leader = this.actors.nodes.at(draft.leader);
    const deposed = draft.deposed >= 0 ? this.actors.nodes.at(draft.deposed) : undefined;
    if (draft.late && leader.deadlineScheduled) actions.push(action('deadline-fires'));
    if (draft.late && deposed?.deadlineScheduled) actions.push(action('deadline-fires-at-deposed'));
    if (!this.has(draft, 'resends')) return;
    if (leader.resendScheduled) actions.push(action('resend'));
    if (deposed?.resendScheduled) actions.push(action('resend-of-deposed'));
  }

  private addMessageActions(draft: Draft, actions: Action[]): void {
    const keeps = this.has(draft, 'duplicates');
    for (const message of draft.messages) {
      actions.push(action('deliver', message));
      if (keeps) actions.push(action('deliver-and-keep', message));
      if (draft.deposed >= 0 && this.actors.isReply(message)) actions.push(action('deliver-to-deposed', message));
    }
  }

  private addBranchActions(draft: Draft, branch: number, slot: BranchSlot, actions: Action[]): void {
    const process = this.actors.processes.at(slot.process);
    const database = this.actors.databases.at(slot.database);
    const { inHand } = process;
    if (inHand && !database.isOccupied(inHand)) {
      const inclinations = database.runsHandler(inHand) ? this.options.inclinations : (['yes'] as const);
      for (const inclination of inclinations) actions.push(action(ANSWER_KINDS[inclination], branch));
      if (this.has(draft, 'brokenConnections')) actions.push(action('break-connection', branch));
    }
    if (process.mayBeDropped) actions.push(action('drop-work', branch));
    if (database.late) actions.push(action('late-operation', branch), action('late-operation-ends', branch));
    if (this.has(draft, 'participantCrashes')) actions.push(action('participant-dies', branch));
    if (this.has(draft, 'amnesias')) {
      actions.push(action('forgets', branch));
      if (this.isAcceptedWithout(draft, branch)) actions.push(action('forgets-unnoticed', branch));
    }
    if (!database.prepared) return;
    if (process.isIdle && this.has(draft, 'inquiries')) actions.push(action('inquire', branch));
    if (database.mayOpenBallot && this.has(draft, 'terminations')) actions.push(action('waits-too-long', branch));
    if (this.has(draft, 'endingsByHand')) actions.push(action('hand-commits', branch), action('hand-aborts', branch));
  }

  /**
   * Whether the others are a majority that has accepted a commit. Only then is nothing lost by a database that forgets
   * and does not know it: else it may have been one of a majority, and without it there is none.
   */
  private isAcceptedWithout({ branches }: Draft, branch: number): boolean {
    const accepting = branches.filter(({ database }, other) => {
      return other !== branch && this.actors.databases.at(database).acceptor?.accepted?.value === 'commit';
    });
    return accepting.length >= majorityOf(branches.length);
  }

  private changeLeader(draft: Draft, survivors: number, staysAlive: boolean): void {
    const { actors } = this;
    this.spend(draft, staysAlive ? 'depositions' : 'leaderDeaths');
    const old = draft.leader;
    for (let place = 0; place < survivors; place++) {
      this.append(draft, actors.proposedRecord(old, place));
    }
    if (staysAlive) draft.deposed = old;
    draft.term++;
    this.leaderStep(draft, actors.elect(draft.log, draft.term, draft.late));
  }

  private append(draft: Draft, record: number): void {
    const before = draft.log;
    draft.log = this.actors.append(before, record);
    this.rules.watchLog(draft, before);
  }

  private deliver(draft: Draft, message: number): void {
    const { actors } = this;
    if (actors.isReply(message)) {
      const step = actors.nodeReceives(draft.leader, message, true, draft.late);
      return this.leaderStep(draft, step, message);
    }
    const slot = draft.branches[actors.addresseeOf(actors.message(message))];
    invariant(slot, 'a message is for a branch of the transaction');
    this.branchStep(draft, slot, actors.processReceives(slot.process, message));
  }

  private answer(draft: Draft, slot: BranchSlot, inclination: Vote): void {
    if (inclination === 'no') draft.refused = true;
    const { next, output } = this.actors.execute(slot.database, slot.process, inclination);
    slot.database = next;
    this.branchStep(draft, slot, this.actors.processAnswered(slot.process, output.answer));
  }

  private abandon(slot: BranchSlot): void {
    slot.database = this.actors.abandon(slot.database, slot.process);
  }

  private leaderStep(draft: Draft, { next, output }: Step<NodeEffect>, heard?: number): void {
    draft.leader = next;
    if (output.taken >= 0) this.append(draft, output.taken);
    this.nodeSays(draft, next, output, heard);
    if (output.told) this.rules.tell(draft, output.told);
  }

  /** What a deposed leader proposes is never committed, and what it has applied it has told before. */
  private deposedStep(draft: Draft, { next, output }: Step<NodeEffect>, heard?: number): void {
    draft.deposed = next;
    this.nodeSays(draft, next, output, heard);
  }

  private nodeSays(draft: Draft, node: number, output: NodeEffect, heard: number | undefined): void {
    this.rules.watchNode(draft, node, output, heard);
    for (const message of output.sent) addMessage(draft, message);
  }

  private branchStep(draft: Draft, slot: BranchSlot, { next, output }: Step<BranchEffect>): void {
    slot.process = next;
    this.rules.watchBranch(draft, slot, output);
    for (const message of output.sent) {
      slot.said |= saidBy(this.actors, message);
      addMessage(draft, message);
    }
    if (this.options.instantBranches === true) this.finishInstantly(draft, slot);
  }

  /** Unless a handler runs, whose answer is open. */
  private finishInstantly(draft: Draft, slot: BranchSlot): void {
    const { inHand } = this.actors.processes.at(slot.process);
    const isOpen = inHand && this.actors.databases.at(slot.database).runsHandler(inHand);
    if (inHand && !isOpen) this.answer(draft, slot, 'yes');
  }

  private has(draft: Draft, bound: keyof Bounds): boolean {
    return draft.left[BOUND_NAMES.indexOf(bound)] !== 0;
  }

  private spend(draft: Draft, bound: keyof Bounds): void {
    const index = BOUND_NAMES.indexOf(bound);
    const left = draft.left[index] ?? 0;
    if (left !== UNBOUNDED && left > 0) draft.left[index] = left - 1;
  }
}

/** The number of different states of each kind of machine, for a report. */
export function machineStates({ nodes, logs, processes, databases }: Actors): Record<string, number> {
  const size = (table: Pick<MachineTable<object, unknown>, 'size'>): number => table.size;
  return { coordinators: size(nodes), logs: size(logs), processes: size(processes), databases: size(databases) };
}

function saidBy(actors: Actors, number: number): number {
  const message = actors.message(number);
  if (message.type === 'done') return message.end === 'aborted' ? SAID_ABORTED : 0;
  if (message.type !== 'vote') return 0;
  switch (message.vote) {
    case 'yes':
      return SAID_YES;
    case 'no':
      return SAID_NO;
    case 'read-only':
      return SAID_READ_ONLY;
  }
}
