import { failpointNames } from '@concordat/foundation';
import type { ParticipantMessage, PeerMessage, ReplyMessage } from '@concordat/commit-protocol';
import { HANDLING_MOMENTS, OFFSET_MOMENTS, SENDING_MOMENTS } from '@concordat/messaging';

/** Around what one message asks for, in the order in which a branch passes them. */
const WORK_FAILPOINTS = [
  /** the local transaction is open, no handler has run */
  'participant.work.before-handlers',
  /** the handlers have run, the local transaction is open */
  'participant.prepare.before-prepare',
  /** prepared and durable, the vote has not left */
  'participant.prepare.after-prepare',
  /** a commit, of one phase or two, is about to be made */
  'participant.commit.before-commit',
  /** committed and durable, nobody was told */
  'participant.commit.after-commit',
  'participant.abort.before-rollback',
  /** rolled back, and the tombstone is durable; nobody was told */
  'participant.abort.after-rollback',
] as const;

/** What the PostgreSQL resource manager asks its database, one round trip each. */
export const NAMED_STATEMENTS = [
  /** opens the local transaction and takes the branch's lock */
  'begin',
  /** asks whether the handlers have written anything */
  'written-check',
  /** ends a transaction that wrote nothing */
  'read-only-commit',
  /** the ledger row and `PREPARE TRANSACTION` */
  'prepare-transaction',
  /** the ledger row and `COMMIT`, of a delegated branch */
  'one-phase-commit',
  /** takes back what failed */
  'local-rollback',
  'commit-prepared',
  'rollback-prepared',
  /** commits the ledger row that forbids a late `PREPARE` */
  'tombstone',
  /** what the database knows of a branch: its prepared transaction and its ledger row */
  'ledger-look-up',
  /** all prepared branches, for the sweeper */
  'list-prepared',
  /** in three phases: commits the vote of an acceptor, unless it has voted before */
  'acceptor-vote',
  /** opens a transaction and locks the row of an acceptor, for a ballot */
  'acceptor-lock',
  /** commits what an acceptor has promised or accepted */
  'acceptor-ballot',
  /** commits the vote `no` of a branch that a ballot has found without a vote */
  'acceptor-refusal',
  /** gives the row back as it was */
  'acceptor-release',
  /** commits the decision of a branch that is about to be ended against it */
  'acceptor-decision',
  /** as `ledger-look-up`, and the acceptor's row */
  'acceptor-look-up',
] as const;

export type NamedStatement = (typeof NAMED_STATEMENTS)[number];

/** The database has not heard the statement, or has carried it out and its answer was not looked at. */
const STATEMENT_MOMENTS = ['before-statement', 'after-statement'] as const;

export type StatementMoment = (typeof STATEMENT_MOMENTS)[number];

const RECEIVED = [
  'prepare',
  'commit-one-phase',
  'decision',
  'ruling',
  'unknown-old',
  'undecided',
  'ballot-request',
  'ballot-answer',
  'termination-due',
] as const;

const SENT = [
  'announce',
  'vote',
  'done',
  'inquiry',
  'ballot-request',
  'ballot-answer',
  'branches-decided',
  'decision',
  'termination-due',
] as const;

export type ReceiptFailpoint = `participant.${(typeof RECEIVED)[number]}.${(typeof HANDLING_MOMENTS)[number]}`;
export type WorkFailpoint = (typeof WORK_FAILPOINTS)[number];
export type StatementFailpoint = `participant.${NamedStatement}.${StatementMoment}`;
export type SendFailpoint = `participant.${(typeof SENT)[number]}.${(typeof SENDING_MOMENTS)[number]}`;
export type OffsetFailpoint = `participant.offsets.${(typeof OFFSET_MOMENTS)[number]}`;
export type ParticipantFailpoint =
  ReceiptFailpoint | WorkFailpoint | StatementFailpoint | SendFailpoint | OffsetFailpoint;

/** Every failpoint of a participant (`CONCORDAT_FAILPOINTS`); what each means stands in participant-crash-points.ts. */
export const PARTICIPANT_FAILPOINTS: readonly ParticipantFailpoint[] = [
  ...failpointNames('participant', RECEIVED, HANDLING_MOMENTS),
  ...WORK_FAILPOINTS,
  ...failpointNames('participant', NAMED_STATEMENTS, STATEMENT_MOMENTS),
  ...failpointNames('participant', SENT, SENDING_MOMENTS),
  ...failpointNames('participant', ['offsets'], OFFSET_MOMENTS),
];

type AllOf<Needed, Named> = [Needed] extends [Named] ? true : false;

/** Proves to the type checker that no type of message is without failpoints: one without turns its line false. */
export const participantFailpointAgreement: {
  readonly received: AllOf<ParticipantMessage['type'], (typeof RECEIVED)[number]>;
  readonly sent: AllOf<(ReplyMessage | PeerMessage)['type'], (typeof SENT)[number]>;
} & Record<string, true> = { received: true, sent: true };
