import type { DeadLetterCounts } from '@concordat/messaging';
import type { BranchEnd, ParticipantAlertCode, Vote } from '@concordat/commit-protocol';

/** Numbers of one participant process since its start, for the application to export. */
export interface ParticipantMetrics {
  readonly votes: Readonly<Record<Vote, number>>;
  /** votes `no` by code */
  readonly refusals: Readonly<Record<string, number>>;
  readonly ends: Readonly<Record<BranchEnd, number>>;
  readonly alerts: Readonly<Record<ParticipantAlertCode, number>>;
  /** work dropped because the queue was full; the coordinator sends it again */
  readonly dropped: number;
  /** attempts with an unknown outcome; the protocol repeats them */
  readonly unknown: number;
  /** messages that no reader or broker will ever accept */
  readonly unsendable: number;
  readonly inquiries: number;
  /** how often a three-phase branch tried to decide without a coordinator */
  readonly terminations: number;
  /** how often the database was found to be replaced: restored, or failed over */
  readonly databaseChanges: number;
  /** how often a branch abstained, because the database has changed since its transaction began */
  readonly abstentions: number;
  /** messages in the dead letter topic, by reason; `OTHER_CLUSTER` means that clusters share topics */
  readonly deadLetters: DeadLetterCounts;
  /** messages that were taken although their signatures do not hold, by reason: signatures are on `warn` */
  readonly signatureWarnings: DeadLetterCounts;
  /** requests to the broker, by kind; empty with direct streams */
  readonly brokerRequests: Readonly<Record<string, number>>;
  /** until the certificates that this process shows end, by use: `coordinators`, `kafka`, `postgres`; negative for one that has */
  readonly certificateExpirySeconds: Readonly<Record<string, number>>;
  /** at the last sweep */
  readonly preparedBranches: number;
  /** at the last sweep; 0 when nothing is prepared */
  readonly oldestPreparedAgeMs: number;
  readonly workRunning: number;
  readonly workWaiting: number;
  /** branches that this process holds between calls */
  readonly heldBranches: number;
  /** holds that wait for a place */
  readonly heldBranchesWaiting: number;
  /** how long the oldest branch has been held, in milliseconds; 0 when none is */
  readonly oldestHeldMs: number;
  readonly decisionsRunning: number;
  readonly decisionsWaiting: number;
  /** age of the oldest running work, in milliseconds; 0 when none runs */
  readonly oldestWorkMs: number;
  /** age of the oldest running decision, in milliseconds; 0 when none runs */
  readonly oldestDecisionMs: number;
  /** running work and decisions that should have ended long ago: something waits without a limit */
  readonly overdue: number;
}

/** Further codes are counted together, so that a handler cannot fill the memory. */
const MAXIMUM_REFUSAL_CODES = 100;

/** What the runtime counts itself; the rest are figures of its parts. */
export type RecordedMetrics = Pick<
  ParticipantMetrics,
  | 'votes'
  | 'refusals'
  | 'ends'
  | 'alerts'
  | 'dropped'
  | 'unknown'
  | 'inquiries'
  | 'terminations'
  | 'databaseChanges'
  | 'abstentions'
  | 'preparedBranches'
  | 'oldestPreparedAgeMs'
>;

export class MetricsRecorder implements RecordedMetrics {
  readonly votes: Record<Vote, number> = { yes: 0, no: 0, 'read-only': 0 };
  /** a map, not an object: a handler's code may be called `constructor` */
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

  /** A copy that later events do not change. */
  snapshot(): RecordedMetrics {
    const { votes, refusals, ends, alerts, dropped, unknown, inquiries, terminations } = this;
    const { databaseChanges, abstentions, preparedBranches, oldestPreparedAgeMs } = this;
    return {
      votes: { ...votes },
      refusals,
      ends: { ...ends },
      alerts: { ...alerts },
      dropped,
      unknown,
      inquiries,
      terminations,
      databaseChanges,
      abstentions,
      preparedBranches,
      oldestPreparedAgeMs,
    };
  }

  refused(code: string): void {
    const known = this.refusalsByCode.has(code) || this.refusalsByCode.size < MAXIMUM_REFUSAL_CODES;
    const label = known ? code : 'OTHER';
    this.refusalsByCode.set(label, (this.refusalsByCode.get(label) ?? 0) + 1);
  }
}
