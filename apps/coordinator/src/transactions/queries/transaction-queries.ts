import { invariant, roughJsonSize, type Clock, type CodedError } from '@concordat/foundation';
import type { TransactionId, TransactionState } from '@concordat/commit-protocol';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import { isVisible, type Access } from '../access.js';
import { TransactionExpiredError, TransactionNotFoundError } from '../errors.js';
import type { EventHistory } from './event-history.js';
import { InDoubtCount } from './in-doubt-count.js';
import { countInDoubt, inDoubtOf, unknownOldItem, type KnownTransaction } from './in-doubt.js';
import type { LeaderSession } from '../leadership/leader-session.js';
import type { TransactionOptions } from '../options.js';
import { ReadBarrier } from './read-barrier.js';
import { ScanTurns } from './scan-turns.js';
import type {
  Consistency,
  EventFilter,
  InDoubtItem,
  InDoubtQuery,
  InDoubtReading,
  ListQuery,
  MissedEvents,
  Reading,
  TransactionEvent,
  TransactionPage,
  TransactionView,
} from '../transactions.api.js';
import type { UnknownOldBranches } from '../leadership/unknown-old-branches.js';
import { statusOf, transactionView, type LeaderKnowledge } from './view.js';

/** Maximum number of transactions that one page of a filtered list scans. */
const MAXIMUM_SCANNED = 20_000;
/** Maximum JSON of a page. A single larger transaction is a page of its own. */
const PAGE_BYTES = 1024 * 1024;
/** Bounds of a scan in one turn: transactions, and bytes of their JSON. */
const SCANNED_PER_TURN = 500;
const SCANNED_BYTES_PER_TURN = 512 * 1024;
/**
 * Maximum number of open transactions that one page of the in-doubt list scans; ten thousand take about a millisecond.
 */
const MAXIMUM_SCANNED_IN_DOUBT = 50_000;
/** Maximum number of missed events that a subscriber gets at once; it asks for more after reading them. */
const MISSED_EVENTS = 500;
const MISSED_BYTES = 512 * 1024;
/** Of a UUID of version 7, as text: its 48 bits of time. */
const UUID_TIME_LENGTH = 13;
const ALL_EVENTS = (): boolean => true;
const ALL_THAT_FIT: InDoubtQuery = { limit: 500 };

export interface QueryDependencies {
  readonly log: DecisionLog;
  readonly clock: Clock;
  readonly options: TransactionOptions;
  readonly history: EventHistory;
  readonly unknownOld: UnknownOldBranches;
  /** of this node's leadership; undefined while it does not lead */
  readonly session: () => LeaderSession | undefined;
}

/**
 * Answers reads of transactions on any node, from its applied state. A linearizable read passes a read barrier first:
 * then it includes everything that any node answered before.
 *
 * Votes and losses of databases are not logged before the decision. While a transaction is closed and undecided, the
 * leader shows them, too; any other node answers that the leader knows more.
 */
export class TransactionQueries {
  private readonly barrier: ReadBarrier;
  private readonly inDoubtCount: InDoubtCount;
  private readonly scans: ScanTurns;

  constructor(private readonly dependencies: QueryDependencies) {
    const { log, clock, options } = dependencies;
    this.barrier = new ReadBarrier(log, clock);
    this.scans = new ScanTurns(clock, SCANNED_BYTES_PER_TURN);
    this.inDoubtCount = new InDoubtCount({
      clock,
      openCount: () => log.state.openCount,
      openAbove: (transactionId) => log.state.oldestOpenFirst(transactionId),
      countOf: (transaction) => countInDoubt(this.known(transaction), clock.now(), options),
    });
  }

  async get(
    transactionId: TransactionId,
    consistency: Consistency,
    access?: Access,
  ): Promise<Reading<TransactionView>> {
    await this.prepare(consistency);
    const transaction = this.dependencies.log.state.find(transactionId);
    if (!transaction || !isVisible(transaction, access)) throw this.missing(transactionId);
    return this.reading(this.view(transaction), consistency, this.isCollectedElsewhere(transaction));
  }

  async list(query: ListQuery, consistency: Consistency): Promise<Reading<TransactionPage>> {
    await this.prepare(consistency);
    const { log } = this.dependencies;
    const { appliedIndex } = log; // later turns only scan newer state
    const page = new ListPage(query);
    do {
      const awaited = this.scans.turn();
      if (awaited) await awaited;
    } while (this.scan(page));
    const { items, nextCursor, isCollectedElsewhere } = page;
    return { ...this.reading({ items, nextCursor }, consistency, isCollectedElsewhere), appliedIndex };
  }

  /** Scans until the bounds of a turn. Returns true when there is more to scan. */
  private scan(page: ListPage): boolean {
    let [scanned, scannedBytes] = [0, 0];
    for (const transaction of this.dependencies.log.state.newestFirst(page.last ?? page.query.cursor)) {
      if (scanned === SCANNED_PER_TURN || scannedBytes >= SCANNED_BYTES_PER_TURN) return true;
      const sizeBytes = roughJsonSize(transaction);
      scanned++;
      scannedBytes += sizeBytes;
      this.scans.used(sizeBytes);
      if (!page.hasRoomFor(transaction, sizeBytes)) return page.endPage();
      if (!page.scan(transaction, sizeBytes)) continue;
      page.items.push(this.view(transaction));
      page.isCollectedElsewhere ||= this.isCollectedElsewhere(transaction);
    }
    return page.endOfList();
  }

  /** On the leader, complete. On other nodes, only what is logged. */
  async inDoubt(consistency: Consistency, query: InDoubtQuery = ALL_THAT_FIT): Promise<InDoubtReading> {
    await this.prepare(consistency);
    const { clock, options, unknownOld, log, session } = this.dependencies;
    const now = clock.now();
    const items: InDoubtItem[] = [];
    let last: TransactionId | undefined;
    let scanned = 0;
    const page = (nextCursor: TransactionId | null): InDoubtReading => ({
      ...this.reading(items, consistency, session() === undefined),
      nextCursor,
    });
    for (const transaction of log.state.oldestOpenFirst(query.cursor)) {
      if (items.length >= query.limit || scanned++ === MAXIMUM_SCANNED_IN_DOUBT) return page(last!);
      last = transaction.transactionId;
      for (const item of inDoubtOf(this.known(transaction), now, options)) items.push(item);
    }
    for (const branch of unknownOld.list()) items.push(unknownOldItem(branch, options));
    return page(null);
  }

  /** The number of branches on all pages of `inDoubt`; with very many open transactions, a recent count. */
  countInDoubt(): number {
    return this.inDoubtCount.read() + this.dependencies.unknownOld.size;
  }

  missedSince(logIndex: number, wants: EventFilter = ALL_EVENTS): MissedEvents {
    const { history, log } = this.dependencies;
    const changed = history.changedSince(logIndex);
    if (!changed) return { kind: 'reset' };
    const wanted = [...changed].filter(([transactionId, index]) => wants(index, transactionId));
    wanted.sort(([, left], [, right]) => left - right);
    const events: TransactionEvent[] = [];
    let sizeBytes = 0;
    for (const [transactionId] of wanted) {
      if (events.length === MISSED_EVENTS || sizeBytes >= MISSED_BYTES) return { kind: 'events', events, more: true };
      const transaction = log.state.find(transactionId);
      if (!transaction) continue;
      sizeBytes += roughJsonSize(transaction);
      events.push({ logIndex: transaction.logIndex, transaction: this.view(transaction) });
    }
    return { kind: 'events', events, more: false };
  }

  view(transaction: TransactionState): TransactionView {
    return transactionView(transaction, this.dependencies.options.branchesNeedCoordinator, this.beyond(transaction));
  }

  /** The error for a transaction that does not exist. */
  missing(transactionId: TransactionId): CodedError {
    return this.dependencies.log.state.mayHaveExpired(transactionId)
      ? new TransactionExpiredError(`transaction ${transactionId} is older than the retention`)
      : new TransactionNotFoundError(`there is no transaction ${transactionId}`);
  }

  private prepare(consistency: Consistency): Promise<void> {
    return consistency === 'linearizable' ? this.barrier.pass() : this.dependencies.log.caughtUp();
  }

  /** Must be called in the turn in which the state was read. */
  private reading<Value>(value: Value, consistency: Consistency, moreElsewhere: boolean): Reading<Value> {
    const { appliedIndex } = this.dependencies.log;
    return { value, appliedIndex, leaderKnowsMore: moreElsewhere && consistency === 'linearizable' };
  }

  private known(transaction: TransactionState): KnownTransaction {
    return { transaction, beyond: this.beyond(transaction) };
  }

  private beyond(transaction: TransactionState): LeaderKnowledge | undefined {
    return isCollecting(transaction) ? this.dependencies.session()?.machineOf(transaction.transactionId) : undefined;
  }

  private isCollectedElsewhere(transaction: TransactionState): boolean {
    return isCollecting(transaction) && !this.dependencies.session();
  }
}

/** One page of the list while it is filled. */
class ListPage {
  readonly items: TransactionView[] = [];
  last: TransactionId | undefined;
  nextCursor: TransactionId | null = null;
  isCollectedElsewhere = false;
  private scanned = 0;
  private sizeBytes = 0;

  constructor(readonly query: ListQuery) {}

  /** Whether the transaction still fits into the page. */
  hasRoomFor(transaction: TransactionState, sizeBytes: number): boolean {
    if (this.items.length === this.query.limit || this.scanned === MAXIMUM_SCANNED) return false;
    return this.items.length === 0 || this.sizeBytes + sizeBytes <= PAGE_BYTES || !matches(transaction, this.query);
  }

  /** Counts the transaction as scanned. Returns whether it matches. */
  scan(transaction: TransactionState, sizeBytes: number): boolean {
    this.scanned++;
    this.last = transaction.transactionId;
    if (!matches(transaction, this.query)) return false;
    this.sizeBytes += sizeBytes;
    return true;
  }

  endPage(): false {
    invariant(this.last !== undefined, 'a page that ends has looked at something');
    this.nextCursor = this.query.access === undefined ? this.last : this.cursorWithoutOthers(this.last);
    return false;
  }

  /** A cursor is read by its client, so it must not be the id of a transaction that the client may not see. */
  private cursorWithoutOthers(last: TransactionId): TransactionId {
    const shown = this.items.at(-1)?.id;
    if (shown === last) return last;
    const latestOfItsTime = `${last.slice(0, UUID_TIME_LENGTH)}-7fff-bfff-ffffffffffff`;
    return shown !== undefined && shown < latestOfItsTime ? shown : latestOfItsTime;
  }

  endOfList(): false {
    this.nextCursor = null;
    return false;
  }
}

/** Whether votes may have arrived that no decision has recorded yet. */
function isCollecting({ closed, decision }: TransactionState): boolean {
  return closed && decision === undefined;
}

function matches(transaction: TransactionState, { status, participant, access }: ListQuery): boolean {
  if (!isVisible(transaction, access)) return false;
  if (status !== undefined && statusOf(transaction) !== status) return false;
  return participant === undefined || transaction.branches.some((branch) => branch.participant === participant);
}
