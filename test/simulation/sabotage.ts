import { randomChance, type Clock, type Random } from '@concordat/foundation';
import type { LogRecord } from '@concordat/commit-protocol';
import type { PreparedBranch, ResourceManager, VoteResult } from '@concordat/participant';
import { decideTopic, type MessageBus } from '@concordat/messaging';
import type { Entry, HardState } from '@concordat/raft';
import { MemoryStorage } from '@concordat/raft/testing';
import type { DecisionLog } from '../../apps/coordinator/src/index.js';
import type { DatabaseSession } from '../support/modelled-database/database-session.js';
import type { DatabaseLies } from '../support/modelled-database/modelled-database.js';

/**
 * Mistakes that are put into the ports of the real code on purpose. Each breaks a rule of the protocol; a checker
 * that does not find one of them within some hundred seeds is not worth its name.
 */
export const SABOTAGES = [
  /** the decision leaves together with its proposal */
  'decision-before-append',
  /** a lost leader's aborts are told without being logged (classical presumed abort) */
  'abort-unlogged',
  /** leadership is not confirmed before something is presumed */
  'read-barrier-skipped',
  /** a node answers questions from its own state without asking the leader */
  'stale-reads',
  /** a `no` counts as `yes` in the record of the decision */
  'votes-ignored',
  /** the idempotency key is not logged */
  'key-not-logged',
  /** a disk acknowledges what it has not written yet */
  'disk-acknowledges-early',
  /** a tombstone is acknowledged and not kept */
  'tombstone-dropped',
  /** the ledger takes a second row of a branch */
  'ledger-key-ignored',
  /** prepared transactions do not outlive a crash of the database */
  'prepared-forgotten',
  /** what an acceptor promises and accepts is acknowledged and not kept */
  'ballots-forgotten',
  /** the participant votes yes where it should vote no */
  'vote-lies',
  /** the participant aborts prepared branches by age */
  'sweeper-decides-by-age',
  /** a node forgets ended transactions by a clock of its own, not by the log */
  'expires-alone',
  /** a node aborts what is late by a clock of its own, not by the log */
  'deadline-by-own-clock',
] as const;

export type Sabotage = (typeof SABOTAGES)[number];

export function databaseLies(sabotage: Sabotage | undefined): DatabaseLies {
  return {
    dropsTombstones: sabotage === 'tombstone-dropped',
    ignoresPrimaryKey: sabotage === 'ledger-key-ignored',
    forgetsPrepared: sabotage === 'prepared-forgotten',
    forgetsBallots: sabotage === 'ballots-forgotten',
  };
}

/** The decision log of a leader that breaks the rules of protocol section 3. */
export function sabotagedLog(
  log: DecisionLog,
  { bus, random, clock }: { bus: MessageBus; random: Random; clock: Clock },
  sabotage: Sabotage,
): DecisionLog {
  const announce = (record: LogRecord): void => {
    if (record.type !== 'decide') return;
    const { transactionId, decision } = record;
    for (const { branchId, participant } of log.state.find(transactionId)?.branches ?? []) {
      const message = { type: 'decision', transactionId, branchId, participant, decision, attempt: 0 } as const;
      bus.publish([{ topic: decideTopic(participant), message }]).catch(() => undefined);
    }
  };
  const falsify = (record: LogRecord): LogRecord => {
    if (sabotage === 'key-not-logged' && record.type === 'begin' && randomChance(random, 0.5)) {
      const { idempotency: _forgotten, ...rest } = record;
      return rest;
    }
    if (sabotage === 'votes-ignored' && record.type === 'decide' && record.reports.some(({ vote }) => vote === 'no')) {
      const { cause: _cause, ...rest } = record;
      return { ...rest, decision: 'commit', reports: record.reports.map((report) => ({ ...report, vote: 'yes' })) };
    }
    return record;
  };
  return {
    state: log.state,
    get appliedIndex() {
      return log.appliedIndex;
    },
    leadership: () => log.leadership(),
    append: (record) => {
      if (sabotage === 'decision-before-append') announce(record);
      if (sabotage === 'abort-unlogged' && record.type === 'decide' && record.decision === 'abort') announce(record);
      return log.append(falsify(record));
    },
    confirmLeadership: () => (sabotage === 'read-barrier-skipped' ? Promise.resolve() : log.confirmLeadership()),
    readBarrier: () => (sabotage === 'stale-reads' ? Promise.resolve() : log.readBarrier()),
    caughtUp: () => log.caughtUp(),
    applyPromptly: () => log.applyPromptly(),
    onApplied: (listener) =>
      log.onApplied((applied) => {
        listener(applied);
        if (sabotage === 'deadline-by-own-clock') abortLate(log, clock);
        if (sabotage === 'expires-alone' && randomChance(random, 0.05)) log.state.archive.expire(Infinity);
      }),
    onLeadership: (listener) => log.onLeadership(listener),
  };
}

function abortLate({ state, appliedIndex }: DecisionLog, clock: Clock): void {
  for (const { transactionId, deadline, decision } of [...state.openTransactions()]) {
    if (decision !== undefined || deadline > clock.now()) continue;
    state.apply({ type: 'decide', transactionId, decision: 'abort', reports: [], at: clock.now() }, appliedIndex);
  }
}

/** A disk that acknowledges every write 20 ms before it is done. */
export class HastyStorage extends MemoryStorage {
  private later: (() => void) | undefined;

  constructor(private readonly clock: Clock) {
    super();
  }

  override persist(batch: { readonly hardState?: HardState; readonly entries: readonly Entry[] }): Promise<void> {
    this.later?.();
    const write = (): void => {
      if (this.later !== write) return;
      this.later = undefined;
      void super.persist(batch);
    };
    this.later = write;
    this.clock.setTimer(20, write);
    return Promise.resolve();
  }

  override crash(): void {
    this.later = undefined;
    super.crash(false);
  }
}

/** A resource manager that breaks the promises of protocol section 5. */
export function sabotagedResourceManager(
  manager: ResourceManager<DatabaseSession>,
  clock: Clock,
  random: Random,
  sabotage: Sabotage,
): ResourceManager<DatabaseSession> {
  return {
    prepare: async (branch, work) => {
      const result = await manager.prepare(branch, work);
      if (sabotage !== 'vote-lies' || result === 'busy' || result.vote !== 'no') return result;
      const lie: VoteResult = { vote: 'yes', results: [] };
      return randomChance(random, 0.3) ? lie : result;
    },
    hold: (branch) => manager.hold!(branch),
    endSession: (branch) => manager.endSession!(branch),
    commitOnePhase: (branch, work) => manager.commitOnePhase(branch, work),
    commit: (branch) => manager.commit(branch),
    abort: (branch) => manager.abort(branch),
    rollBack: (branch) => manager.rollBack(branch),
    answerBallot: (branch, request, acceptors) => manager.answerBallot(branch, request, acceptors),
    openBallot: (branch) => manager.openBallot(branch),
    recordDecision: (branch, decision) => manager.recordDecision(branch, decision),
    gidOf: (branch) => manager.gidOf(branch),
    listPrepared: async () => {
      const prepared = await manager.listPrepared();
      if (sabotage !== 'sweeper-decides-by-age') return prepared;
      const old = ({ ageMs }: PreparedBranch): boolean => ageMs > 2_000;
      for (const branch of prepared.filter(old)) await manager.abort(branch);
      return prepared.filter((branch) => !old(branch));
    },
  };
}
