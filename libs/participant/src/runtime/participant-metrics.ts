import type { DeadLetterCounts } from '@concordat/messaging';
import type { BranchEnd, ParticipantAlertCode, Vote } from '@concordat/commit-protocol';

/** Plain numbers of one participant process since its start, for the application to render. */
export interface ParticipantMetrics {
  readonly votes: Readonly<Record<Vote, number>>;
  /** votes `no` by their code */
  readonly refusals: Readonly<Record<string, number>>;
  readonly ends: Readonly<Record<BranchEnd, number>>;
  readonly alerts: Readonly<Record<ParticipantAlertCode, number>>;
  /** work that was dropped because the queue was full; the coordinator sends it again */
  readonly dropped: number;
  /** attempts whose outcome is not known; repeated by the protocol */
  readonly unknown: number;
  /** messages that no reader or broker would ever take; whoever waits for one waits in vain */
  readonly unsendable: number;
  readonly inquiries: number;
  /** times that branches in three phases were to decide among themselves, because no coordinator answered */
  readonly terminations: number;
  /** times that the database was found to be another one than it was: restored, or failed over */
  readonly databaseChanges: number;
  /** times that nothing was said of a transaction in three phases, because the database has changed since it began */
  readonly abstentions: number;
  /** messages that were put aside, by reason; `OTHER_CLUSTER` means that clusters share topics */
  readonly deadLetters: DeadLetterCounts;
  /** as of the last sweep */
  readonly preparedBranches: number;
  /** as of the last sweep; 0 when nothing is prepared */
  readonly oldestPreparedAgeMs: number;
  readonly workRunning: number;
  readonly workWaiting: number;
  readonly decisionsRunning: number;
  readonly decisionsWaiting: number;
  /** how long the oldest running work has been running, in milliseconds; 0 when none runs */
  readonly oldestWorkMs: number;
  /** the same of decisions that are being carried out */
  readonly oldestDecisionMs: number;
  /** running work, and decisions, that should have ended long ago: something waits without a limit */
  readonly overdue: number;
}

/** More codes than this are counted together, so that a handler cannot fill the memory. */
const MAXIMUM_REFUSAL_CODES = 100;

/** The counters behind `ParticipantMetrics`. */
export class MetricsRecorder {
  readonly votes: Record<Vote, number> = { yes: 0, no: 0, 'read-only': 0 };
  /** a map: the codes are those of the handlers, and may be called like something that every object has */
  private readonly refusalsByCode = new Map<string, number>();
  readonly ends: Record<BranchEnd, number> = {
    committed: 0,
    aborted: 0,
    'read-only': 0,
    'heuristic-rollback': 0,
    'heuristic-commit': 0,
  };
  readonly alerts: Record<ParticipantAlertCode, number> = {
    CONFLICTING_DECISIONS: 0,
    HEURISTIC_OUTCOME: 0,
    UNKNOWN_OLD_TRANSACTION: 0,
    IMPOSSIBLE_BALLOT: 0,
    IMPOSSIBLE_TERM: 0,
    ACCEPTOR_AMNESIA: 0,
  };
  dropped = 0;
  unknown = 0;
  inquiries = 0;
  terminations = 0;
  databaseChanges = 0;
  abstentions = 0;
  preparedBranches = 0;
  oldestPreparedAgeMs = 0;

  get refusals(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.refusalsByCode);
  }

  refused(code: string): void {
    const known = this.refusalsByCode.has(code) || this.refusalsByCode.size < MAXIMUM_REFUSAL_CODES;
    const label = known ? code : 'OTHER';
    this.refusalsByCode.set(label, (this.refusalsByCode.get(label) ?? 0) + 1);
  }
}
