import { failpointNames } from '@concordat/foundation';
import type { CoordinatorMessage, DecisionRecord, OutcomeMessage, ReplyMessage } from '@concordat/commit-protocol';
import { HANDLING_MOMENTS, SENDING_MOMENTS } from '@concordat/messaging';

/**
 * The kind of each record type in failpoint names. Three differ from the type: `branches-done` ends transactions; the
 * birth of the group expires everything older; a record that leaves the commit to a branch (protocol 4.7) is a
 * delegation.
 *
 * Records about locks have no failpoints: each request is one record, so a crash is either before it or behind it.
 */
const KIND_BY_TYPE = {
  begin: 'begin',
  enlist: 'enlist',
  'commit-requested': 'commit-requested',
  'pre-commit': 'pre-commit',
  decide: 'decide',
  resolve: 'resolve',
  'branches-done': 'end',
  participant: 'participant',
  expire: 'expire',
  'group-born': 'expire',
} as const satisfies Record<DecisionRecord['type'], string>;

type RecordKind = (typeof KIND_BY_TYPE)[DecisionRecord['type']] | 'delegate';

const RECORD_KINDS = [
  'begin',
  'enlist',
  'commit-requested',
  'delegate',
  'pre-commit',
  'decide',
  'resolve',
  'end',
  'participant',
  'expire',
] as const satisfies readonly RecordKind[];

/**
 * `before-append`: the leader has made the record and not proposed it. `after-append`: the record is committed and
 * applied to the state; nobody has acted on it. `after-apply`: the leader has acted on it in memory; no message has
 * left.
 */
const RECORD_MOMENTS = ['before-append', 'after-append', 'after-apply'] as const;

export type RecordMoment = (typeof RECORD_MOMENTS)[number];

const SENT = [
  'prepare',
  'commit-one-phase',
  'decision',
  'ruling',
  'unknown-old',
  'undecided',
  'ballot-request',
  'outcome',
] as const;

const RECEIVED = ['announce', 'vote', 'done', 'inquiry', 'ballot-answer', 'branches-decided'] as const;

/** A write to the log on this node's own disk, on any node. A pause makes the disk hang, not fail. */
export const DISK_FAILPOINT = 'coordinator.disk.before-write';

type RecordFailpoint = `coordinator.${RecordKind}.${RecordMoment}`;
type SendFailpoint = `coordinator.${(typeof SENT)[number]}.${(typeof SENDING_MOMENTS)[number]}`;
type ReceiptFailpoint = `coordinator.${(typeof RECEIVED)[number]}.${(typeof HANDLING_MOMENTS)[number]}`;
export type CoordinatorFailpoint = RecordFailpoint | SendFailpoint | ReceiptFailpoint | typeof DISK_FAILPOINT;

/** Every failpoint of a coordinator (`CONCORDAT_FAILPOINTS`). The table in docs/protocols.md says what each means. */
export const COORDINATOR_FAILPOINTS: readonly CoordinatorFailpoint[] = [
  ...failpointNames('coordinator', RECORD_KINDS, RECORD_MOMENTS),
  ...failpointNames('coordinator', SENT, SENDING_MOMENTS),
  ...failpointNames('coordinator', RECEIVED, HANDLING_MOMENTS),
  DISK_FAILPOINT,
];

type AllOf<Needed, Named> = [Needed] extends [Named] ? true : false;

/** Proves at compile time that every record and message has failpoints: a missing one makes its line false. */
export const failpointAgreement: {
  readonly records: AllOf<RecordKind, (typeof RECORD_KINDS)[number]>;
  readonly sent: AllOf<(CoordinatorMessage | OutcomeMessage)['type'], (typeof SENT)[number]>;
  readonly received: AllOf<ReplyMessage['type'], (typeof RECEIVED)[number]>;
} & Record<string, true> = { records: true, sent: true, received: true };

/** The failpoint that a record passes at this moment. */
export function recordFailpoint(record: DecisionRecord, moment: RecordMoment): RecordFailpoint {
  const delegates = 'delegateTo' in record && record.delegateTo !== undefined;
  return `coordinator.${delegates ? 'delegate' : KIND_BY_TYPE[record.type]}.${moment}`;
}
