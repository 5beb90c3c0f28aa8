import { crashPoint, type CrashPoint } from '@concordat/foundation';
import type {
  OffsetFailpoint,
  ParticipantFailpoint,
  ReceiptFailpoint,
  SendFailpoint,
  StatementFailpoint,
  WorkFailpoint,
} from './participant-failpoints.js';

const RECEIPTS: Readonly<Record<ReceiptFailpoint, CrashPoint>> = {
  'participant.prepare.received': crashPoint(
    'work has arrived; nothing was done and its offset is not committed',
    'the message is consumed again after the restart, and the leader sends it again; the branch votes then, unless the deadline has aborted it',
    'the restarted participant',
  ),
  'participant.prepare.handled': crashPoint(
    'the branch is prepared, refused or read-only; its vote is handed to the wire and may be lost, the offset is not committed',
    'the message comes again and is answered from the database; a prepared branch inquires besides; one that was read-only is run again',
    'the restarted participant',
    'its sweeper',
  ),
  'participant.commit-one-phase.received': crashPoint(
    'a delegated commit has arrived; nothing was done',
    'the message is consumed again, and the leader sends it for as long as it takes',
    'the restarted participant',
  ),
  'participant.commit-one-phase.handled': crashPoint(
    'the delegated branch is committed or refused in the database; the answer may be lost',
    'the leader sends `commit-one-phase` again, and the branch answers from its ledger',
    'the restarted participant',
  ),
  'participant.decision.received': crashPoint(
    'the decision has arrived; the branch is prepared as before',
    'the message comes again, the branch inquires at the start, and the leader sends the decision until the branch is done',
    'the restarted participant',
    'its sweeper',
  ),
  'participant.decision.handled': crashPoint(
    'the branch has ended by the decision; `done` waits to be sent with others and is lost',
    'the leader sends the decision again, and the branch answers from its ledger',
    'the restarted participant',
  ),
  'participant.ruling.received': crashPoint(
    "an operator's ruling against the decision has arrived; the branch is prepared as before",
    'the leader sends the ruling again until the branch answers',
    'the restarted participant',
  ),
  'participant.ruling.handled': crashPoint(
    'the branch has ended as the operator ruled; the answer may be lost',
    'the leader sends the ruling again, and the branch answers from its ledger',
    'the restarted participant',
  ),
  'participant.unknown-old.received': crashPoint(
    'the coordinators have answered that nobody remembers the transaction; no alert was raised',
    'the branch stays prepared and inquires again; the alert comes with the next answer',
    'its sweeper',
    'the operator',
  ),
  'participant.unknown-old.handled': crashPoint(
    'the alert is raised; the branch stays prepared',
    'the branch inquires again after the restart, so the alert is raised again, until an operator rules',
    'its sweeper',
    'the operator',
  ),
  'participant.undecided.received': crashPoint(
    'in three phases, a leader has answered that it works on the transaction',
    'the branch inquires again after the restart',
    'its sweeper',
  ),
  'participant.undecided.handled': crashPoint(
    'in three phases, the branch waits anew for a coordinator',
    'the wait begins again with the restart',
    'its sweeper',
  ),
  'participant.ballot-request.received': crashPoint(
    'in three phases, a proposer asks the branch; nothing was promised or accepted',
    'the proposer asks again, or a majority answers without this branch',
    'the restarted participant',
    'the branches',
  ),
  'participant.ballot-request.handled': crashPoint(
    'in three phases, what the branch promised or accepted is durable; the answer may be lost',
    'asked again, it answers by what its database says and never takes anything back',
    'the restarted participant',
    'the branches',
  ),
  'participant.ballot-answer.received': crashPoint(
    'in three phases, a branch has answered the ballot of this one; it is not counted',
    'the ballot dies with the process; this branch starts a higher one when it has waited again, and so may any other',
    'its sweeper',
    'the branches',
  ),
  'participant.ballot-answer.handled': crashPoint(
    'in three phases, an answer is counted in memory; with a majority the branches have decided',
    'a value that a majority has accepted is found by any higher ballot and stays the same',
    'its sweeper',
    'the branches',
  ),
  'participant.termination-due.received': crashPoint(
    'in three phases, the branch has waited in vain for a coordinator; no ballot is opened',
    'its sweeper finds it again and it waits once more; other branches may be faster',
    'its sweeper',
    'the branches',
  ),
  'participant.termination-due.handled': crashPoint(
    'in three phases, the branch has opened a ballot, whose requests may be lost',
    'it opens a higher one when it has waited again; what it promised itself is durable',
    'its sweeper',
    'the branches',
  ),
};

const WORK: Readonly<Record<WorkFailpoint, CrashPoint>> = {
  'participant.work.before-handlers': crashPoint(
    'a local transaction is about to be opened; no handler has run',
    'the server rolls it back when the connection is gone; the message comes again',
    'the restarted participant',
  ),
  'participant.prepare.before-prepare': crashPoint(
    'the handlers have run; their local transaction is open and nothing of it is durable',
    'the server rolls it back when the connection is gone; the message comes again and the handlers run again',
    'the restarted participant',
  ),
  'participant.prepare.after-prepare': crashPoint(
    'the branch is prepared and durable; the vote has not left',
    'the branch holds its locks; it inquires at the start, and votes yes again when it is asked',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.commit.before-commit': crashPoint(
    'a commit, of one phase or two, is about to be made',
    'two phases: the branch stays prepared, inquires, and is told again; one phase: nothing is durable, and the leader sends `commit-one-phase` again',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.commit.after-commit': crashPoint(
    'the branch is committed and durable; nobody was told',
    'the leader sends the decision or `commit-one-phase` again, and the branch answers from its ledger',
    'the restarted participant',
  ),
  'participant.abort.before-rollback': crashPoint(
    'the decision to abort has arrived; what is prepared is still prepared, no tombstone stands',
    'the branch inquires at the start, and the leader sends the decision until it is done',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.abort.after-rollback': crashPoint(
    'the branch is rolled back and its tombstone is durable; nobody was told',
    'the leader sends the decision again; a late `PREPARE` of the branch fails on the tombstone',
    'the restarted participant',
  ),
};

const STATEMENTS: Readonly<Record<StatementFailpoint, CrashPoint>> = {
  'participant.begin.before-statement': crashPoint(
    'no local transaction is open',
    'nothing was done; the message comes again',
    'the restarted participant',
  ),
  'participant.begin.after-statement': crashPoint(
    "a local transaction is open, with the branch's lock and perhaps a first statement of a handler",
    'the server rolls it back and frees the lock when the connection is gone; the message comes again',
    'the restarted participant',
  ),
  'participant.written-check.before-statement': crashPoint(
    'the handlers have run; whether they wrote anything is not known',
    'the server rolls the local transaction back; the message comes again',
    'the restarted participant',
  ),
  'participant.written-check.after-statement': crashPoint(
    'the server has said whether anything was written; nothing is durable',
    'the server rolls the local transaction back; the message comes again',
    'the restarted participant',
  ),
  'participant.read-only-commit.before-statement': crashPoint(
    'nothing was written; the local transaction is open',
    'the server ends it with the connection; the message comes again and the handlers read again',
    'the restarted participant',
  ),
  'participant.read-only-commit.after-statement': crashPoint(
    'a branch that wrote nothing has ended; nothing of it is durable in two phases',
    'the message comes again and the handlers read again; until the decision the last vote counts',
    'the restarted participant',
  ),
  'participant.prepare-transaction.before-statement': crashPoint(
    'the handlers have written; neither the ledger row nor `PREPARE TRANSACTION` has left',
    'the server rolls the local transaction back; the message comes again and the handlers run again',
    'the restarted participant',
  ),
  'participant.prepare-transaction.after-statement': crashPoint(
    'the branch is prepared, with its ledger row inside; the tag of the answer was not looked at',
    'it inquires at the start, and votes yes again when it is asked',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.one-phase-commit.before-statement': crashPoint(
    'the handlers of a delegated branch have written; nothing is durable',
    'the server rolls the local transaction back; `commit-one-phase` comes again and the handlers run again',
    'the restarted participant',
  ),
  'participant.one-phase-commit.after-statement': crashPoint(
    'work and ledger row of a delegated branch are committed together; nobody was told',
    '`commit-one-phase` comes again and is answered from the ledger; nothing is done twice',
    'the restarted participant',
  ),
  'participant.local-rollback.before-statement': crashPoint(
    'the work of a branch has failed; its local transaction is open',
    'the server rolls it back when the connection is gone; the message comes again',
    'the restarted participant',
  ),
  'participant.local-rollback.after-statement': crashPoint(
    'what failed is rolled back; no tombstone stands and no vote was given',
    'the message comes again; the branch may then succeed, because it never said no',
    'the restarted participant',
  ),
  'participant.commit-prepared.before-statement': crashPoint(
    'the decision is commit; the branch is prepared',
    'it inquires at the start, and the leader sends the decision until it is done',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.commit-prepared.after-statement': crashPoint(
    'the branch is committed, and its ledger row is visible; nobody was told',
    'the leader sends the decision again; `COMMIT PREPARED` finds nothing, and the ledger says that the branch is committed',
    'the restarted participant',
  ),
  'participant.rollback-prepared.before-statement': crashPoint(
    'the decision is abort; what is prepared is still prepared',
    'it inquires at the start, and the leader sends the decision until it is done',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.rollback-prepared.after-statement': crashPoint(
    'the prepared transaction is rolled back; no tombstone stands yet',
    'the leader sends the decision again; that there is nothing to roll back is fine, and the tombstone is written',
    'the restarted participant',
  ),
  'participant.tombstone.before-statement': crashPoint(
    'the branch is to end as aborted, by its own no or by the decision; nothing says so in the database',
    'an abort is sent again; a no was never said, so the work is done anew when it comes again',
    'the restarted participant',
  ),
  'participant.tombstone.after-statement': crashPoint(
    'the tombstone is durable; nobody was told',
    'the branch answers no, or aborted, from its ledger; a late `PREPARE` fails on the tombstone',
    'the restarted participant',
  ),
  'participant.ledger-look-up.before-statement': crashPoint(
    'how the branch ended is to be read from the database',
    'nothing was changed; the message comes again',
    'the restarted participant',
  ),
  'participant.ledger-look-up.after-statement': crashPoint(
    'how the branch ended was read; nobody was told',
    'nothing was changed; the message comes again',
    'the restarted participant',
  ),
  'participant.list-prepared.before-statement': crashPoint(
    'the sweeper is about to list the prepared branches',
    'it does so at the start of the process',
    'its sweeper',
  ),
  'participant.list-prepared.after-statement': crashPoint(
    'the sweeper has listed the prepared branches and has not inquired about any',
    'it lists them at the start of the process and inquires about all',
    'its sweeper',
  ),
  'participant.acceptor-vote.before-statement': crashPoint(
    'in three phases, the work is prepared, or read-only, or refused; its vote is not on record and was not given',
    'the message comes again: what is prepared is found and its vote recorded; what was read-only or refused is done anew. To ballots the branch says nothing while it is prepared without a vote, else it aborts itself',
    'the restarted participant',
    'the branches',
  ),
  'participant.acceptor-vote.after-statement': crashPoint(
    'in three phases, the first vote of the branch is on record for good; it was not given',
    'the message comes again and is answered from the record, and so are ballots',
    'the restarted participant',
    'the branches',
  ),
  'participant.acceptor-lock.before-statement': crashPoint(
    'in three phases, a ballot was asked for or is to be opened; the database was not asked',
    'nothing was changed; the message comes again, or a majority answers without this branch',
    'the restarted participant',
    'the branches',
  ),
  'participant.acceptor-lock.after-statement': crashPoint(
    "in three phases, the acceptor's row is locked and read; nothing was promised",
    'the server frees the row when the connection is gone, or after five seconds; the message comes again',
    'the restarted participant',
    'the branches',
  ),
  'participant.acceptor-ballot.before-statement': crashPoint(
    'in three phases, what to promise or accept is known; it is not durable and nobody was told',
    'the server rolls back and frees the row; the message comes again, or a majority answers without this branch',
    'the restarted participant',
    'the branches',
  ),
  'participant.acceptor-ballot.after-statement': crashPoint(
    'in three phases, what the branch has promised or accepted, or its own ballot, is durable; nobody was told',
    'the message comes again and is answered the same; a ballot of its own is lost, and the next one lies above it',
    'the restarted participant',
    'its sweeper',
    'the branches',
  ),
  'participant.acceptor-refusal.before-statement': crashPoint(
    'in three phases, a ballot has found the branch without a vote; nothing says that it aborts itself',
    'nothing was changed: the branch may still vote yes, or abort itself when the ballot comes again',
    'the restarted participant',
    'the branches',
  ),
  'participant.acceptor-refusal.after-statement': crashPoint(
    'in three phases, the vote no is on record; there is no tombstone yet, and work may be under way or prepared',
    'whatever comes next, a prepare or a ballot, finds the vote, rolls back what is prepared and writes the tombstone',
    'the restarted participant',
    'its sweeper',
  ),
  'participant.acceptor-release.before-statement': crashPoint(
    "in three phases, the acceptor's row is locked and stays as it is; nobody was answered",
    'the server frees the row when the connection is gone; the message comes again and is answered the same',
    'the restarted participant',
  ),
  'participant.acceptor-release.after-statement': crashPoint(
    "in three phases, the acceptor's row is free and as it was; nobody was answered",
    'the message comes again and is answered the same',
    'the restarted participant',
  ),
  'participant.acceptor-decision.before-statement': crashPoint(
    'in three phases, an operator has ruled against the decision; the branch has neither that on record nor ended',
    'the leader sends the ruling again',
    'the restarted participant',
  ),
  'participant.acceptor-decision.after-statement': crashPoint(
    'in three phases, the decision is on record for other branches that ask; this branch has not ended against it yet',
    'the leader sends the ruling again; the decision on record stays as it is',
    'the restarted participant',
  ),
  'participant.acceptor-look-up.before-statement': crashPoint(
    'what the database knows of a branch, its vote as an acceptor too, is to be read',
    'nothing was changed; the message comes again',
    'the restarted participant',
  ),
  'participant.acceptor-look-up.after-statement': crashPoint(
    'what the database knows of a branch, its vote as an acceptor too, was read; nobody was told',
    'nothing was changed; the message comes again',
    'the restarted participant',
  ),
};

const SENDINGS: Readonly<Record<SendFailpoint, CrashPoint>> = {
  'participant.announce.before-send': crashPoint(
    'the operations of the participant are not announced',
    'they are announced at the start of the process and every few seconds',
    'the restarted participant',
  ),
  'participant.announce.after-send': crashPoint(
    'the broker has the announcement',
    'it is announced again at the start',
    'nothing to repair',
  ),
  'participant.vote.before-send': crashPoint(
    'what the vote says is durable (prepared, or the tombstone) or holds nothing (read-only); the vote has not left',
    'the message comes again and the vote is given from the database; a prepared branch inquires besides',
    'the restarted participant',
    'its sweeper',
  ),
  'participant.vote.after-send': crashPoint(
    'the broker has the vote; the decision has not come',
    'a prepared branch keeps its promise in the database, inquires at the start, and obeys the decision',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.done.before-send': crashPoint(
    'branches have ended; the coordinators were not told',
    'the leader sends the decisions again, and the branches answer from the ledger',
    'the restarted participant',
  ),
  'participant.done.after-send': crashPoint(
    'the broker has the ends of the branches',
    'the leader notes them; what it did not hear it asks again',
    'nothing to repair',
  ),
  'participant.inquiry.before-send': crashPoint(
    'prepared branches wait for their decisions; the inquiries have not left',
    'they inquire at the start of the process',
    'its sweeper',
  ),
  'participant.inquiry.after-send': crashPoint(
    'the broker has the inquiries; no answer was acted on',
    'answers wait in the topic, and the branches inquire again at the start',
    'its sweeper',
    'the restarted participant',
  ),
  'participant.ballot-request.before-send': crashPoint(
    'in three phases, the branch has opened a ballot; nobody was asked',
    'it opens a higher one when it has waited again; other branches may be faster',
    'its sweeper',
    'the branches',
  ),
  'participant.ballot-request.after-send': crashPoint(
    'in three phases, the broker has the requests of the ballot; no answer was counted',
    'the answers find nobody; any branch, or a leader, runs a higher ballot and finds what was accepted',
    'its sweeper',
    'the branches',
  ),
  'participant.ballot-answer.before-send': crashPoint(
    'in three phases, what the branch promised or accepted is durable; the proposer was not told',
    'the proposer asks again, or a majority answers without this branch',
    'the restarted participant',
    'the branches',
  ),
  'participant.ballot-answer.after-send': crashPoint(
    'in three phases, the broker has the answer; the decision has not come',
    'the branch inquires at the start and obeys the decision',
    'its sweeper',
    'the branches',
  ),
  'participant.branches-decided.before-send': crashPoint(
    'in three phases, the branches have decided among themselves; the coordinators were not told',
    'a coordinator that comes back runs a ballot and finds the decision, or hears of it from any branch',
    'the new leader',
    'the branches',
  ),
  'participant.branches-decided.after-send': crashPoint(
    'in three phases, the broker has the decision for the coordinators',
    'the leader logs it, or runs a ballot and finds it',
    'the new leader',
  ),
  'participant.decision.before-send': crashPoint(
    'in three phases, the ballot of this branch has decided; the other branches were not told',
    'a higher ballot finds the same decision; this branch inquires at the start',
    'its sweeper',
    'the branches',
  ),
  'participant.decision.after-send': crashPoint(
    'in three phases, the broker has the decision for the other branches; the own branch may still be prepared',
    'the others end by it; this branch inquires at the start, and is told by them or by a leader',
    'its sweeper',
    'the branches',
  ),
  'participant.termination-due.before-send': crashPoint(
    'in three phases, the branch has waited too long for a coordinator; nothing was done about it',
    'its sweeper finds it again after the restart, and it waits once more',
    'its sweeper',
  ),
  'participant.termination-due.after-send': crashPoint(
    'in three phases, the broker has the word that a ballot is due',
    'whichever process of the participant reads it opens the ballot',
    'the restarted participant',
    'the branches',
  ),
};

const OFFSETS: Readonly<Record<OffsetFailpoint, CrashPoint>> = {
  'participant.offsets.before-commit': crashPoint(
    'messages are handled; the broker does not know how far',
    'they come again after the restart; every one is answered from memory or the database, and nothing is done twice',
    'the restarted participant',
  ),
  'participant.offsets.after-commit': crashPoint(
    'the broker knows how far the messages are handled',
    'the restarted process goes on behind them',
    'nothing to repair',
  ),
};

/**
 * What a crash of a participant at each of its failpoints means: the source of a table in docs/protocols.md. A failpoint
 * without an entry does not compile.
 */
export const PARTICIPANT_CRASH_POINTS: Readonly<Record<ParticipantFailpoint, CrashPoint>> = {
  ...RECEIPTS,
  ...WORK,
  ...STATEMENTS,
  ...SENDINGS,
  ...OFFSETS,
};
