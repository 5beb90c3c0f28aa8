import { failpointNames } from '@concordat/foundation';
import type { ParticipantMessage, PeerMessage, ReplyMessage } from '@concordat/commit-protocol';
import { HANDLING_MOMENTS, OFFSET_MOMENTS, SENDING_MOMENTS } from '@concordat/messaging';

/** Around the work of one message, in the order in which a branch passes them. */
const WORK_FAILPOINTS = [
  /** the local transaction is open, no handler has run */
  'participant.work.before-handlers',
  /** the handlers have run, the local transaction is open */
  'participant.prepare.before-prepare',
  /** prepared and durable, the vote is not sent */
  'participant.prepare.after-prepare',
  /** before a commit, in one phase or two */
  'participant.commit.before-commit',
  /** committed and durable, nothing is sent */
  'participant.commit.after-commit',
  'participant.abort.before-rollback',
  /** rolled back, and the tombstone is durable; nothing is sent */
  'participant.abort.after-rollback',
] as const;

/** The statements of the PostgreSQL resource manager, one round trip each. */
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
  /** rolls back what failed */
  'local-rollback',
  'commit-prepared',
  'rollback-prepared',
  /** commits the ledger row that makes a late `PREPARE` fail */
  'tombstone',
  /** reads the prepared transaction and the ledger row of a branch */
  'ledger-look-up',
  /** all prepared branches, for the sweeper */
  'list-prepared',
  /** in three phases: commits the vote of an acceptor, unless it has voted */
  'acceptor-vote',
  /** opens a transaction and locks the row of an acceptor, for a ballot */
  'acceptor-lock',
  /** commits a promise or an acceptance */
  'acceptor-ballot',
  /** commits the vote `no` of a branch that a ballot found without a vote */
  'acceptor-refusal',
  /** releases the row without a change */
  'acceptor-release',
  /** commits the decision of a branch that is ended against it */
  'acceptor-decision',
  /** like `ledger-look-up`, with the acceptor's row */
  'acceptor-look-up',
] as const;

export type NamedStatement = (typeof NAMED_STATEMENTS)[number];

/** The statement was not sent, or it was carried out and its answer was not read. */
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

type ReceiptFailpoint = `participant.${(typeof RECEIVED)[number]}.${(typeof HANDLING_MOMENTS)[number]}`;
type WorkFailpoint = (typeof WORK_FAILPOINTS)[number];
type StatementFailpoint = `participant.${NamedStatement}.${StatementMoment}`;
type SendFailpoint = `participant.${(typeof SENT)[number]}.${(typeof SENDING_MOMENTS)[number]}`;
type OffsetFailpoint = `participant.offsets.${(typeof OFFSET_MOMENTS)[number]}`;
export type ParticipantFailpoint =
  ReceiptFailpoint | WorkFailpoint | StatementFailpoint | SendFailpoint | OffsetFailpoint;

/** Every failpoint of a participant (`CONCORDAT_FAILPOINTS`). The table in docs/protocols.md says what each means. */
export const PARTICIPANT_FAILPOINTS: readonly ParticipantFailpoint[] = [
  ...failpointNames('participant', RECEIVED, HANDLING_MOMENTS),
  ...WORK_FAILPOINTS,
  ...failpointNames('participant', NAMED_STATEMENTS, STATEMENT_MOMENTS),
  ...failpointNames('participant', SENT, SENDING_MOMENTS),
  ...failpointNames('participant', ['offsets'], OFFSET_MOMENTS),
];

type AllOf<Needed, Named> = [Needed] extends [Named] ? true : false;

/** Proves at compile time that every message type has failpoints: a missing one makes its line false. */
export const participantFailpointAgreement: {
  readonly received: AllOf<ParticipantMessage['type'], (typeof RECEIVED)[number]>;
  readonly sent: AllOf<(ReplyMessage | PeerMessage)['type'], (typeof SENT)[number]>;
} & Record<string, true> = { received: true, sent: true };
