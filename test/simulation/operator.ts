import { CodedError, randomChance, randomInteger, randomItem, type SeededRandom } from '@concordat/foundation';
import type { RulingAction } from '@concordat/commit-protocol';
import type { ResolveRequest, TransactionManager, TransactionView } from '../../apps/coordinator/src/index.js';
import { ConnectionLostError, ConnectionRefusedError } from '@concordat/foundation/testing';
import type { World } from './world.js';

export interface OperatorHabits {
  /** whether there is an operator who rules before everything is healed */
  readonly rules: boolean;
  /** whether one also rules by force */
  readonly forces: boolean;
  /** whether one also ends prepared branches in the databases, by hand */
  readonly meddles: boolean;
}

/** Most runs have no operator, and few have one that breaks promises: their transactions are judged less strictly. */
export function drawHabits(random: SeededRandom, calm: boolean): OperatorHabits {
  const rules = randomChance(random, 0.4) && !calm;
  return { rules, forces: rules && randomChance(random, 0.7), meddles: rules && randomChance(random, 0.3) };
}

/** What a ruling that is not possible may be refused with; anything else is a mistake of the system. */
const REFUSALS = new Set([
  'RULING_CONTRADICTS_DECISION',
  'RULING_NEEDS_FORCE',
  'RULING_NOT_POSSIBLE',
  'BRANCH_NOT_FOUND',
  'TRANSACTION_NOT_FOUND',
  'TRANSACTION_EXPIRED', // a leader of which the participant has not asked yet
  'LOG_UNAVAILABLE',
  'OVERLOADED',
  'OUTCOME_UNKNOWN',
]);
const LOOKED_AT = 12;

/**
 * Somebody who looks after the system and is not always careful: rules at random on what is there, allowed or not,
 * and sees to it in the end that no hazard keeps a transaction open.
 */
export class Operator {
  readonly counts: Record<string, number> = {};
  private healed = false;

  constructor(
    private readonly world: World,
    private readonly random: SeededRandom,
    private readonly habits: OperatorHabits,
  ) {}

  /** Goes on for ever; ends with the world. */
  async run(): Promise<void> {
    for (;;) {
      await this.world.sleep(randomInteger(this.random, ...this.world.pace.operatorPauseMs));
      if (this.world.checker.mayMeetOld) await this.rememberForOthers();
      // what a database has lost leaves hazards, which only an operator ends
      const mustLook = this.healed && this.world.checker.exemptions.databaseChanges > 0;
      if (!this.habits.rules && !mustLook) continue;
      if (this.habits.meddles && !this.healed && randomChance(this.random, 0.25)) this.meddle();
      else await this.look();
    }
  }

  /** From now on only what is needed for everything to end. */
  heal(): void {
    this.healed = true;
  }

  /** Rules may be broken again. */
  resume(): void {
    this.healed = false;
  }

  /** Somebody has paper on what the coordinators have forgotten, and rules as it was decided. */
  private async rememberForOthers(): Promise<void> {
    const { checker } = this.world;
    const items = await this.ask(async (manager) => (await manager.inDoubt('stale')).value);
    const item = items?.find(({ state }) => state === 'unknown-old');
    if (!item) return;
    const { transactionId: id, branchId } = item;
    const action = checker.transactions.get(id)?.decision ?? 'abort';
    this.world.trace.event(`operator remembers to ${action} ${id}`);
    await this.ask((manager) =>
      manager.resolve(id, { action, branchId, operator: 'ann', reason: 'on paper', force: false }),
    );
    this.count('unknown-old');
  }

  /** Somebody with psql ends what is prepared. */
  private meddle(): void {
    const { random, world } = this;
    const database = randomItem(random, world.databases);
    const prepared = [...database.prepared];
    if (!database.isUp || prepared.length === 0) return;
    const [gid, { transactionId, branchId }] = randomItem(random, prepared);
    const commits = randomChance(random, 0.4);
    world.trace.event(`operator ${commits ? 'commits' : 'rolls back'} ${gid} by hand in ${database.name}`);
    world.checker.exemptions.endByHand(transactionId, branchId);
    this.count('by hand');
    database.endByHand(gid, commits ? 'commit' : 'abort');
  }

  private async look(): Promise<void> {
    const seen = await this.ask(async (manager) => (await manager.list({ limit: LOOKED_AT }, 'stale')).value.items);
    const open = (seen ?? []).filter(({ endedAt }) => endedAt === null);
    const hazard = (await this.openHazards()) ?? open.find(({ status }) => status === 'mixed');
    if (hazard && (this.healed || randomChance(this.random, 0.5))) {
      await this.rule(hazard, { action: 'forget', operator: 'ann', reason: 'known', force: false });
    } else if (!this.healed && open.length > 0 && randomChance(this.random, 0.4)) {
      const transaction = randomItem(this.random, open);
      await this.rule(transaction, this.drawRuling(transaction));
    }
  }

  /** A transaction with a hazard that the list of the newest may not reach. */
  private async openHazards(): Promise<TransactionView | undefined> {
    const page = await this.ask(async (manager) => {
      return (await manager.list({ limit: LOOKED_AT, status: 'mixed' }, 'stale')).value.items;
    });
    return page?.find(({ endedAt }) => endedAt === null);
  }

  /** Forced ones go against the decision as a rule: that is what they are for. */
  private drawRuling({ branches, decision, deadline }: TransactionView): ResolveRequest {
    const { random } = this;
    const isLeftToOne = decision === null && branches.length === 1;
    const isLate = this.world.clock.now() >= Date.parse(deadline);
    if (isLeftToOne && randomChance(random, isLate ? 0.8 : 0.2)) {
      const force = this.habits.forces && randomChance(random, 0.8);
      return { action: 'forget', operator: 'ann', reason: 'it never answers', force };
    }
    const force = this.habits.forces && randomChance(random, decision === null ? 0.1 : 0.6);
    const against = decision === 'abort' ? 'commit' : 'abort';
    const actions: RulingAction[] = force ? [against, against, 'forget'] : ['abort', 'abort', 'commit', 'forget'];
    const action = randomItem(random, actions);
    const named = branches.length > 0 && randomChance(random, force ? 0.9 : 0.2);
    return {
      action,
      ...(named && { branchId: randomItem(random, branches).branchId }),
      operator: 'ann',
      reason: 'at random',
      force,
    };
  }

  private async rule({ id }: TransactionView, request: ResolveRequest): Promise<void> {
    const { world } = this;
    const what = `${request.action} ${id} ${request.branchId ?? ''}${request.force ? ' by force' : ''}`;
    world.trace.event(`operator rules ${what}`);
    const resolution = await this.ask((manager) => manager.resolve(id, request));
    const transaction = resolution?.transaction;
    if (!transaction) return;
    world.checker.answers.answered(transaction.id, transaction.status, transaction.decision, 0);
    const effect = resolution.ruling?.effect;
    if (!effect) return;
    world.trace.event(`operator has ${effect} ${what}`);
    this.count(effect);
    if (effect === 'decided' && transaction.decision !== request.action) {
      world.checker.violate(`an operator ruled to ${request.action} ${id} and was answered ${transaction.decision}`);
    }
  }

  /** Asks the leader, or a random node; undefined when it cannot, or will not. */
  private async ask<T>(request: (manager: TransactionManager) => Promise<T>): Promise<T | undefined> {
    const { coordinators } = this.world;
    const leader = coordinators.find(({ log }) => log?.leadership().epoch);
    const asked = leader && randomChance(this.random, 0.8) ? leader : randomItem(this.random, coordinators);
    const { process, manager } = asked;
    if (!process || !manager) return undefined;
    try {
      return await process.call(() => request(manager));
    } catch (error) {
      if (error instanceof ConnectionRefusedError || error instanceof ConnectionLostError) return undefined;
      if (error instanceof CodedError && REFUSALS.has(error.code)) return undefined;
      this.world.checker.violate(
        `an operator was refused with ${error instanceof Error ? error.stack : String(error)}`,
      );
      return undefined;
    }
  }

  private count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
