import type { CoordinatorFailpoint } from '../../../apps/coordinator/src/index.js';
import { crashPoint, type CrashPoint } from './crash-point.js';

/** A failpoint of a coordinator without an entry does not compile, nor does an entry without a failpoint. */
export const COORDINATOR_CRASH_POINTS: Readonly<Record<CoordinatorFailpoint, CrashPoint>> = {
  'coordinator.begin.before-append': crashPoint(
    'the transaction exists in the memory of the leader; its work may have been sent already, `Begin` is in no log',
    'no coordinator knows the transaction: a prepared branch inquires and is told to abort, because ids are never reused; the repeated request is a new transaction',
    'its sweeper',
    'the client',
  ),
  'coordinator.begin.after-append': crashPoint(
    '`Begin` is committed and applied; the leader has done nothing with it',
    'the new leader finds the transaction open: it asks the branches of a closed one for their votes, and keeps an interactive one for its client until its deadline',
    'the new leader',
    'the client',
  ),
  'coordinator.begin.after-apply': crashPoint(
    'the leader knows that `Begin` is in the log; no client has an answer',
    'as after the append; votes that the dead leader had are asked for again, and a repeat with the same key finds the transaction',
    'the new leader',
    'the client',
  ),
  'coordinator.enlist.before-append': crashPoint(
    'a branch was to be enlisted; no log knows of it',
    'the transaction goes on without the branch; a branch that its service has prepared inquires, and is told to abort when the set of branches is closed; the client enlists again',
    'the client',
    'its sweeper',
  ),
  'coordinator.enlist.after-append': crashPoint(
    'the branch, with its vote if it came with one, is in the log; the client does not know',
    'the new leader has the branch; a repeat with the same key or the same `branchId` is answered with it',
    'the new leader',
    'the client',
  ),
  'coordinator.enlist.after-apply': crashPoint(
    'the leader counts the branch; the client does not know',
    'the same as after the append: what counts is in the log',
    'the new leader',
    'the client',
  ),
  'coordinator.commit-requested.before-append': crashPoint(
    'the client has asked for the commit; that the set of branches is closed is in no log',
    'the transaction stays open for enlistments; the client asks again, or the deadline aborts it',
    'the client',
    'the new leader',
  ),
  'coordinator.commit-requested.after-append': crashPoint(
    'the set of branches is closed in the log; no work has left',
    'the new leader sends the work, gathers the votes and decides: the promise of a 202 stands',
    'the new leader',
  ),
  'coordinator.commit-requested.after-apply': crashPoint(
    'the set of branches is closed; the work is handed to the wire and has not left',
    'the new leader sends the work, gathers the votes and decides',
    'the new leader',
  ),
  'coordinator.delegate.before-append': crashPoint(
    'the commit is to be left to the only branch; no log says so, and `commit-one-phase` has not left',
    'nothing was done anywhere: a transaction of one call is unknown and the client repeats it; an interactive one stays open until its client asks again or its deadline passes',
    'the client',
    'the new leader',
  ),
  'coordinator.delegate.after-append': crashPoint(
    'the delegation is in the log; no message about it has reached the branch',
    'the new leader sends `commit-one-phase` until the branch answers, and decides nothing by itself, not even at the deadline',
    'the new leader',
  ),
  'coordinator.delegate.after-apply': crashPoint(
    'the delegation is in the log; `commit-one-phase` is handed to the wire and has not left',
    'the new leader sends it until the branch answers',
    'the new leader',
  ),
  'coordinator.pre-commit.before-append': crashPoint(
    'in three phases, a ballot is due (all branches have voted yes, or the leader is new, or it was outbid); no log has it, and no request of it has left',
    'a new leader opens a ballot in its turn: a first one after asking for the votes again, or aborts when no ballot is in the log and the deadline has passed; branches that wait too long decide among themselves',
    'the new leader',
    'the branches',
  ),
  'coordinator.pre-commit.after-append': crashPoint(
    'in three phases, the ballot is in the log; no request of it has left',
    'only a ballot decides from here: the new leader logs and runs a higher one; without any leader the branches run theirs',
    'the new leader',
    'the branches',
  ),
  'coordinator.pre-commit.after-apply': crashPoint(
    'in three phases, the requests of the ballot are handed to the wire and have not left',
    'the same as after the append',
    'the new leader',
    'the branches',
  ),
  'coordinator.decide.before-append': crashPoint(
    'the leader knows what has to be decided (all votes, a no, a request to abort, the deadline, a majority); no log has the decision and no message with it has left',
    'the new leader asks for the votes again and decides by the answers; in three phases it runs a ballot of its own',
    'the new leader',
    'the client',
  ),
  'coordinator.decide.after-append': crashPoint(
    'the decision is in the log and never changes; no branch and no client was told',
    'the new leader sends it to every branch until it is done; a repeat with the same key is answered with it',
    'the new leader',
    'the client',
  ),
  'coordinator.decide.after-apply': crashPoint(
    'the decision is in the log, handed to the wire, and has not left',
    'the new leader sends it to every branch until it is done; a repeat with the same key is answered with it',
    'the new leader',
    'the client',
  ),
  'coordinator.resolve.before-append': crashPoint(
    'an operator has ruled; the ruling is in no log',
    'nothing has changed and nothing is audited; the operator has no answer and rules again',
    'the operator',
  ),
  'coordinator.resolve.after-append': crashPoint(
    'the ruling is in the log, audited, and in force; no branch was told',
    'the new leader tells the branches; a branch of a forgotten transaction is told when it asks again; the operator sees the ruling in the transaction',
    'the new leader',
    'its sweeper',
  ),
  'coordinator.resolve.after-apply': crashPoint(
    'the ruling is in the log; what it has branches do is handed to the wire and has not left',
    'the same as after the append',
    'the new leader',
    'its sweeper',
  ),
  'coordinator.end.before-append': crashPoint(
    'branches have reported their ends; the log does not have them',
    'the new leader sends the decisions again; the branches answer from their ledgers that they are done',
    'the new leader',
  ),
  'coordinator.end.after-append': crashPoint(
    'the ends are in the log, and with the last one of a transaction its end; its outcome is not published',
    'the new leader publishes the outcomes of everything that the log does not know to be published',
    'the new leader',
  ),
  'coordinator.end.after-apply': crashPoint(
    'the outcomes of what has ended are handed to the wire and have not left',
    'the new leader publishes them; an outcome may come twice, with the same content',
    'the new leader',
  ),
  'coordinator.participant.before-append': crashPoint(
    'a participant has announced operations that the log does not know',
    'it announces them again every few seconds; until then requests for them are refused',
    'the new leader',
  ),
  'coordinator.participant.after-append': crashPoint(
    'the announced operations are in the log',
    'every node knows them',
    'nothing to repair',
  ),
  'coordinator.participant.after-apply': crashPoint(
    'the announced operations are in the log, and the leader has acted on it',
    'every node knows them',
    'nothing to repair',
  ),
  'coordinator.expire.before-append': crashPoint(
    'ended transactions are older than the retention, or the group is new; the log has not dropped them, or does not say when it was born',
    'they stay until the new leader drops them; no coordinator answers before a leader has logged the birth',
    'the new leader',
  ),
  'coordinator.expire.after-append': crashPoint(
    'the log has dropped what had ended before the time in the record, together with its idempotency keys; at its birth, the group drops everything before it',
    'every node drops the same, because the time stands in the record',
    'nothing to repair',
  ),
  'coordinator.expire.after-apply': crashPoint(
    'the log has dropped what had ended before the time in the record, and the leader has acted on it',
    'every node drops the same',
    'nothing to repair',
  ),
  'coordinator.prepare.before-send': crashPoint(
    'work is handed to the wire; no branch has it',
    'a new leader that finds `Begin` in the log sends the work; where `Begin` was lost, nothing was done and the client repeats its request',
    'the new leader',
    'the client',
  ),
  'coordinator.prepare.after-send': crashPoint(
    'the broker has the work; no vote was counted',
    'branches do the work and vote; the new leader asks again and they answer from their databases; where `Begin` was lost, they inquire and are told to abort',
    'the new leader',
    'its sweeper',
    'the client',
  ),
  'coordinator.commit-one-phase.before-send': crashPoint(
    'the delegation is in the log; no message about it has reached the branch',
    'the new leader sends `commit-one-phase` until the branch answers',
    'the new leader',
  ),
  'coordinator.commit-one-phase.after-send': crashPoint(
    'the broker has `commit-one-phase`; what the branch did is not in the log',
    'the new leader sends it again; the branch answers from its ledger and does nothing twice',
    'the new leader',
  ),
  'coordinator.decision.before-send': crashPoint(
    'a decision from the log, or the abort of a transaction that no coordinator knows, is handed to the wire',
    'the new leader sends the decisions of the log; a branch that has inquired inquires again',
    'the new leader',
    'its sweeper',
  ),
  'coordinator.decision.after-send': crashPoint(
    'the broker has the decision; no branch is known to be done',
    'branches carry it out; the new leader sends it again, and they answer from their ledgers',
    'the new leader',
  ),
  'coordinator.ruling.before-send': crashPoint(
    'the ruling that ends one branch against the decision is in the log; the branch was not told',
    'the new leader sends it until the branch has answered',
    'the new leader',
  ),
  'coordinator.ruling.after-send': crashPoint(
    'the broker has the ruling; how the branch ended is not in the log',
    'the new leader sends it again, and the branch answers from its ledger',
    'the new leader',
  ),
  'coordinator.unknown-old.before-send': crashPoint(
    'the leader lists a branch of a transaction older than the retention; the branch has no answer',
    'the list dies with the leader; the branch inquires again at the new one, which lists it again',
    'its sweeper',
  ),
  'coordinator.unknown-old.after-send': crashPoint(
    'the broker has the answer that the transaction is too old to be known',
    'the participant raises its alert; it inquires again, and the new leader lists the branch again',
    'its sweeper',
  ),
  'coordinator.undecided.before-send': crashPoint(
    'in three phases, a branch has inquired about a transaction without a decision; it has no answer',
    'it inquires again; without any leader it starts a ballot with the other branches',
    'its sweeper',
    'the branches',
  ),
  'coordinator.undecided.after-send': crashPoint(
    'in three phases, the broker has the answer that a leader works on the transaction',
    'the branch waits for one more termination timeout; the new leader runs a ballot',
    'the new leader',
    'the branches',
  ),
  'coordinator.ballot-request.before-send': crashPoint(
    'in three phases, the ballot is in the log; no branch has been asked',
    'the new leader logs a higher ballot and asks; without any leader the branches run theirs',
    'the new leader',
    'the branches',
  ),
  'coordinator.ballot-request.after-send': crashPoint(
    'in three phases, the broker has the requests; branches may accept, and no majority was counted',
    'a higher ballot, of the new leader or of the branches, asks a majority first: what was accepted by a majority is found and proposed again',
    'the new leader',
    'the branches',
  ),
  'coordinator.outcome.before-send': crashPoint(
    'transactions have ended in the log; their outcomes are not published',
    'the new leader publishes them',
    'the new leader',
  ),
  'coordinator.outcome.after-send': crashPoint(
    'the broker has the outcomes; the log does not know that they are published',
    'the new leader publishes them a second time, with the same content',
    'the new leader',
  ),
  'coordinator.announce.received': crashPoint(
    'an announcement has arrived; it was not handled',
    'the participant announces itself again every few seconds',
    'the new leader',
  ),
  'coordinator.announce.handled': crashPoint(
    'an announcement was handled; what is new in it is on its way into the log',
    'what is not in the log is announced again',
    'the new leader',
  ),
  'coordinator.vote.received': crashPoint(
    'a vote has arrived and is not counted; replies are not read a second time',
    'the new leader asks the branch again, which votes the same from its database',
    'the new leader',
  ),
  'coordinator.vote.handled': crashPoint(
    'the vote is counted in memory; if it was the last one, the decision is on its way into the log',
    'a decision that is in the log stands; otherwise the new leader asks for the votes again',
    'the new leader',
  ),
  'coordinator.done.received': crashPoint(
    'the end of a branch was reported and is not recorded',
    'the new leader sends the decision again, and the branch answers from its ledger',
    'the new leader',
  ),
  'coordinator.done.handled': crashPoint(
    'the end of a branch waits in memory for its record, or, of a delegated branch, its decision is on its way into the log',
    'the new leader sends the decision or `commit-one-phase` again, and the branch answers from its ledger',
    'the new leader',
  ),
  'coordinator.inquiry.received': crashPoint(
    'a prepared branch has asked for its decision; it has no answer',
    'it asks again, and the new leader sends all decisions anyway',
    'its sweeper',
    'the new leader',
  ),
  'coordinator.inquiry.handled': crashPoint(
    'the answer to an inquiry is handed to the wire, or waits for the read barrier',
    'the branch asks again',
    'its sweeper',
    'the new leader',
  ),
  'coordinator.ballot-answer.received': crashPoint(
    'in three phases, the answer of a branch to a ballot has arrived and is not counted',
    'the new leader runs a higher ballot; without any leader the branches run theirs',
    'the new leader',
    'the branches',
  ),
  'coordinator.ballot-answer.handled': crashPoint(
    'in three phases, an answer to a ballot is counted in memory; with a majority, the decision is on its way into the log',
    'a decision that a majority has accepted is found by any higher ballot and stays the same',
    'the new leader',
    'the branches',
  ),
  'coordinator.branches-decided.received': crashPoint(
    'in three phases, the branches have decided among themselves; the decision is not in the log',
    'the branches end by their decision; the new leader runs a ballot, finds the decision and logs it',
    'the new leader',
  ),
  'coordinator.branches-decided.handled': crashPoint(
    'in three phases, the decision of the branches is on its way into the log',
    'if it is not in the log, the new leader gets it again from the branches that it asks',
    'the new leader',
  ),
  'coordinator.disk.before-write': crashPoint(
    'entries or a vote are in the memory of a node, and its disk does not have them',
    'the node had acknowledged none of them, and a leader counts itself only for what is on its disk; the other nodes keep what they acknowledged',
    'the new leader',
  ),
};
