import { majorityOf, type Vote } from '@concordat/commit-protocol';
import { FingerprintTable } from '../fingerprint-table.js';
import type { PackedState, Violation } from '../world.js';
import type { ActionKind } from './action-kinds.js';
import type { Actors } from './actors.js';
import { describeAction } from './describe.js';
import { pack, packInto, type Draft } from './layout.js';
import type { Rules } from './rules.js';
import type { CommitOptions } from './options.js';

/** So many rounds of resends and inquiries may be needed; the protocol needs three. */
const MAXIMUM_ROUNDS = 8;
const MAXIMUM_STEPS_OF_A_ROUND = 200;

const BEGINNING = 'faults stop, and everything on its way is lost';

const ANSWER_KINDS: Readonly<Record<Vote, ActionKind>> = {
  yes: 'answer-yes',
  no: 'answer-no',
  'read-only': 'answer-read-only',
};

/** What is healed: states, and what may happen in them. */
export interface HealedWorld {
  readonly actors: Actors;
  readonly options: CommitOptions;
  unpack(state: PackedState): Draft;
  perform(draft: Draft, kind: ActionKind, subject: number): void;
}

/**
 * AC5: from every state, when faults stop, every branch reaches the decision. All that is on its way is lost, late
 * operations have ended and the deposed leader has learnt of it; from then on every message arrives, every
 * operation is answered, and whenever nothing else is left to do, timers fire and sweepers ask.
 *
 * In three phases the branches must get there without any coordinator, too, as long as a majority of them has a vote
 * on record or can still refuse one, and one of them may open a ballot; what they came to must stand when the
 * coordinators are back.
 *
 * The way of healing is one for each state, so ways that meet go on together: what was once found to heal is
 * remembered and not walked again.
 */
export class Healing {
  private readonly healed = new FingerprintTable();
  private readonly endedAlone = new FingerprintTable();
  private readonly scratch = new Int32Array(64); // a state without messages is smaller

  constructor(
    private readonly world: HealedWorld,
    private readonly rules: Rules,
  ) {}

  /** @param draft is changed */
  check(draft: Draft): Violation | undefined {
    const { actors, options } = this.world;
    if (!draft.begun) return undefined;
    draft.left.fill(0);
    draft.messages.length = 0;
    draft.deposed = -1;
    for (const slot of draft.branches) {
      if (actors.databases.at(slot.database).late) slot.database = actors.settleLate(slot.database, false);
    }
    const length = packInto(draft, this.scratch);
    if (options.protocol === '3pc' && !this.endedAlone.has(this.scratch, length)) {
      const broken = this.endAlone(this.world.unpack(this.scratch.slice(0, length)));
      if (broken) return broken;
      packInto(draft, this.scratch);
    }
    return this.healed.has(this.scratch, length) ? undefined : this.heal(draft, [BEGINNING]);
  }

  private heal(draft: Draft, steps: string[]): Violation | undefined {
    const way: PackedState[] = [pack(draft)];
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      const broken = this.settle(draft, steps, true);
      if (broken) return { ...broken, epilogue: steps };
      const rests = pack(draft);
      if (this.rules.isSettled(draft)) {
        const unhealed = this.rules.checkHealed(draft);
        if (unhealed) return { ...unhealed, epilogue: steps };
        return remember(this.healed, way);
      }
      if (this.healed.has(rests)) return remember(this.healed, way);
      way.push(rests);
      this.fireTimers(draft, steps);
    }
    const stuck = this.rules.checkHealed(draft) ?? { rule: 'AC5', detail: 'something goes on for ever' };
    return { ...stuck, epilogue: steps };
  }

  /** Without coordinators: branches that have waited too long open ballots, one after another. */
  private endAlone(draft: Draft): Violation | undefined {
    const { actors } = this.world;
    const steps = [BEGINNING, 'no coordinator is there any more'];
    const way: PackedState[] = [pack(draft)];
    for (let round = 0; round < MAXIMUM_ROUNDS; round++) {
      const broken = this.settle(draft, steps, false);
      if (broken) return { ...broken, epilogue: steps };
      const waiting = draft.branches.findIndex(({ database }) => actors.databases.at(database).mayOpenBallot);
      if (waiting < 0 || !this.hasMajority(draft)) {
        const back = this.healAfterwards(draft, steps);
        return back ?? remember(this.endedAlone, way);
      }
      const rests = pack(draft);
      if (this.endedAlone.has(rests)) return remember(this.endedAlone, way);
      way.push(rests);
      this.perform(draft, 'waits-too-long', waiting, steps);
    }
    const detail = 'without coordinators the branches never decide, although a majority of them talks';
    return { rule: 'AC5', detail, epilogue: steps };
  }

  private healAfterwards(draft: Draft, steps: string[]): Violation | undefined {
    if (this.healed.has(pack(draft))) return undefined;
    steps.push('a coordinator is back');
    return this.heal(draft, steps);
  }

  /** A branch that is prepared and has no vote on record, because its process died in between, can only inquire. */
  private hasMajority({ branches }: Draft): boolean {
    const talking = branches.filter(({ database }) => {
      const { abstains, prepared, acceptor } = this.world.actors.databases.at(database);
      return !abstains && (!prepared || acceptor !== undefined);
    });
    return talking.length >= majorityOf(branches.length);
  }

  /** Does all that can be done without a timer, and looks at the rules whenever the log has grown, and at the end. */
  private settle(draft: Draft, steps: string[], withCoordinators: boolean): Violation | undefined {
    for (let step = 0; step < MAXIMUM_STEPS_OF_A_ROUND; step++) {
      const next = this.nextStep(draft, withCoordinators);
      if (!next) return this.rules.check(draft);
      const { log } = draft;
      this.perform(draft, next[0], next[1], steps);
      const broken = draft.log === log ? undefined : this.rules.check(draft);
      if (broken) return broken;
    }
    return { rule: 'AC5', detail: 'messages go to and fro for ever' };
  }

  private nextStep(draft: Draft, withCoordinators: boolean): readonly [ActionKind, number] | undefined {
    const { actors, options } = this.world;
    if (withCoordinators && actors.nodes.at(draft.leader).proposed.length > 0) return ['commit-record', 0];
    if (!withCoordinators) draft.messages = draft.messages.filter((message) => !actors.isReply(message));
    const [message] = draft.messages;
    if (message !== undefined) return ['deliver', message];
    for (const [branch, { process, database }] of draft.branches.entries()) {
      const { inHand } = actors.processes.at(process);
      if (!inHand) continue;
      const open = actors.databases.at(database).runsHandler(inHand);
      const inclination = open ? (options.inclinations[0] ?? 'yes') : 'yes';
      return [ANSWER_KINDS[inclination], branch];
    }
    return undefined;
  }

  private fireTimers(draft: Draft, steps: string[]): void {
    const { actors } = this.world;
    const leader = actors.nodes.at(draft.leader);
    if (draft.late && leader.deadlineScheduled) this.perform(draft, 'deadline-fires', 0, steps);
    if (actors.nodes.at(draft.leader).resendScheduled) this.perform(draft, 'resend', 0, steps);
    for (const [branch, { process, database }] of draft.branches.entries()) {
      const asks = actors.databases.at(database).prepared && actors.processes.at(process).isIdle;
      if (asks) this.perform(draft, 'inquire', branch, steps);
    }
  }

  private perform(draft: Draft, kind: ActionKind, subject: number, steps: string[]): void {
    steps.push(describeAction(this.world.actors, draft, kind, subject));
    this.world.perform(draft, kind, subject);
  }
}

function remember(table: FingerprintTable, way: readonly PackedState[]): undefined {
  for (const state of way) table.add(state);
}
