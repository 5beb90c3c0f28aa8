import { invariant } from '@concordat/foundation';
import type { BranchEnd, Decision } from '@concordat/commit-protocol';
import type { ActionKind } from '../commit/action-kinds.js';
import { CommitWorld } from '../commit/commit-world.js';
import { describeAction } from '../commit/describe.js';
import type { Draft } from '../commit/layout.js';
import { NO_FAULTS, THREE_PHASE_PARTS } from '../commit/options.js';

const BRANCHES = 3;
const COORDINATOR = -1;
const MAXIMUM_STEPS = 500;

export interface ScheduleResult {
  /** what happened, in words; a line that begins with `== ` says what the schedule does next */
  readonly lines: readonly string[];
  /** how each branch ended; undefined while it is in doubt */
  readonly cut: readonly (BranchEnd | undefined)[];
  readonly ends: readonly (BranchEnd | undefined)[];
  readonly logged: Decision | undefined;
  /** the first rule of the model that is broken at the end */
  readonly broken: string | undefined;
}

/**
 * The schedule of the lab's `unsafe-3pc`, with Concordat's own machines: three branches vote yes and the coordinator
 * pre-commits; the network is cut, with the coordinator and branch 1 on one side; the first ballot reaches branch 1 and
 * no other; the coordinator dies; branch 1 loses its patience, then branch 2, then branch 3; at last the network heals,
 * and a coordinator comes back.
 */
class PartitionSchedule {
  private readonly world = new CommitWorld({
    protocol: '3pc',
    branches: BRANCHES,
    inclinations: ['yes', 'yes', 'yes'],
    bounds: { ...NO_FAULTS, leaderDeaths: 1, resends: Infinity, terminations: BRANCHES },
    start: 'voted',
    parts: THREE_PHASE_PARTS,
  });
  private readonly draft: Draft = this.world.unpack(this.world.initial());
  private readonly lines: string[] = [];
  /** by message: the branch that has sent it, or `COORDINATOR` */
  private readonly senders = new Map<number, number>();
  private cutOff: ReadonlySet<number> = new Set();
  private hasCoordinator = true;

  run(): ScheduleResult {
    this.say('all branches have voted yes, and the coordinator logs the first ballot');
    this.perform('commit-record', 0);
    this.say('the network is cut: the coordinator and branch 1 here, branches 2 and 3 there');
    this.cutOff = new Set([1, 2]);
    this.settle();
    this.say('the coordinator dies');
    this.hasCoordinator = false;
    for (let branch = 0; branch < BRANCHES; branch++) {
      if (this.endOf(branch) !== undefined) continue;
      this.perform('waits-too-long', branch);
      this.settle();
    }
    const cut = this.ends();
    this.say('the network heals');
    this.cutOff = new Set();
    this.settle();
    this.say('a coordinator is back, with what is in the log');
    this.hasCoordinator = true;
    this.perform('leader-dies', 0);
    this.settle();
    this.letTimersFire();
    const { rules, actors } = this.world;
    const violation = rules.check(this.draft) ?? rules.checkHealed(this.draft);
    return {
      lines: this.lines,
      cut,
      ends: this.ends(),
      logged: actors.transactionOf(this.draft.log)?.decision,
      broken: violation && `${violation.rule}: ${violation.detail}`,
    };
  }

  private say(what: string): void {
    this.lines.push(`== ${what}`);
  }

  private ends(): (BranchEnd | undefined)[] {
    return this.draft.branches.map((_, branch) => this.endOf(branch));
  }

  private endOf(branch: number): BranchEnd | undefined {
    const slot = this.draft.branches[branch];
    invariant(slot, 'the schedule names branches that there are');
    return this.world.actors.databases.at(slot.database).ledger;
  }

  private letTimersFire(): void {
    const { actors, rules } = this.world;
    while (!rules.isSettled(this.draft) && actors.nodes.at(this.draft.leader).resendScheduled) {
      this.perform('resend', 0);
      this.settle();
    }
  }

  /** All that can happen without a timer, as far as the network reaches. */
  private settle(): void {
    for (let step = 0; step < MAXIMUM_STEPS; step++) {
      const next = this.next();
      if (!next) return;
      this.perform(next[0], next[1]);
    }
    invariant(false, 'a schedule comes to rest');
  }

  private next(): readonly [ActionKind, number] | undefined {
    const { actors } = this.world;
    const { draft } = this;
    const busy = draft.branches.findIndex(({ process }) => actors.processes.at(process).inHand);
    if (busy >= 0) return ['answer-yes', busy];
    if (this.hasCoordinator && actors.nodes.at(draft.leader).proposed.length > 0) return ['commit-record', 0];
    const message = draft.messages.find((number) => this.mayArrive(number));
    return message === undefined ? undefined : ['deliver', message];
  }

  private mayArrive(number: number): boolean {
    const to = this.addresseeOf(number);
    if (to === COORDINATOR && !this.hasCoordinator) return false;
    return this.cutOff.has(to) === this.cutOff.has(this.senders.get(number) ?? COORDINATOR);
  }

  private perform(kind: ActionKind, subject: number): void {
    this.lines.push(describeAction(this.world.actors, this.draft, kind, subject));
    const actor = kind === 'deliver' ? this.addresseeOf(subject) : isOfBranch(kind) ? subject : COORDINATOR;
    const before = new Set(this.draft.messages);
    this.world.perform(this.draft, kind, subject);
    for (const message of this.draft.messages) if (!before.has(message)) this.senders.set(message, actor);
  }

  private addresseeOf(message: number): number {
    const { actors } = this.world;
    return actors.addresseeOf(actors.message(message));
  }
}

function isOfBranch(kind: ActionKind): boolean {
  return kind === 'answer-yes' || kind === 'waits-too-long';
}

export function runPartitionSchedule(): ScheduleResult {
  return new PartitionSchedule().run();
}

/** Whether all came to one decision, the same as the log's, in the end and without breaking a rule on the way. */
export function isUnanimous({ cut, ends, logged, broken }: ScheduleResult): boolean {
  const wanted = logged === 'commit' ? 'committed' : 'aborted';
  const early = cut.every((end) => end === undefined || end === wanted);
  return logged !== undefined && broken === undefined && early && ends.every((end) => end === wanted);
}
