import { failpointNames } from '@concordat/foundation';
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

/** Every failpoint of a participant; see `CONCORDAT_FAILPOINTS`. */
export const PARTICIPANT_FAILPOINTS = [
  ...failpointNames('participant', RECEIVED, HANDLING_MOMENTS),
  ...WORK_FAILPOINTS,
  ...failpointNames('participant', NAMED_STATEMENTS, STATEMENT_MOMENTS),
  ...failpointNames('participant', SENT, SENDING_MOMENTS),
  ...failpointNames('participant', ['offsets'], OFFSET_MOMENTS),
] as const;

export type ParticipantFailpoint = (typeof PARTICIPANT_FAILPOINTS)[number];
