import {
  compareBallots,
  findBranch,
  isHazard,
  type BranchState,
  type Decision,
  type TransactionState,
} from '@concordat/commit-protocol';
import type { Violation } from '../world.js';
import type { Actors, BranchEffect, Message, NodeEffect } from './actors.js';
import type { BranchDatabase } from './branch-database.js';
import { SAID_ABORTED, SAID_NO, SAID_READ_ONLY, SAID_YES, type BranchSlot, type Draft } from './layout.js';
import type { CommitOptions } from './options.js';

/** A branch seen from everywhere: what it said, what its database holds, what the log says of it. */
interface BranchView {
  readonly slot: BranchSlot;
  readonly database: Readonly<BranchDatabase>;
  readonly logged: Readonly<BranchState> | undefined;
}

const TOLD = { commit: 1, abort: 2 } as const;

/**
 * The rules of the protocol (sections 1, 3 and 4), looked at from outside: against what the databases hold and what
 * the log says, not against what machines believe. `check` is for states; the others watch steps, because what must
 * not be said can only be heard while it is being said.
 */
export class Rules {
  private readonly breaches: Violation[] = [];
  private readonly isThreePhase: boolean;
  private readonly consequencesOnly: boolean;

  constructor(
    private readonly actors: Actors,
    { protocol, consequencesOnly }: Pick<CommitOptions, 'protocol' | 'consequencesOnly'>,
  ) {
    this.isThreePhase = protocol === '3pc';
    this.consequencesOnly = consequencesOnly ?? false;
  }

  check(draft: Draft): Violation | undefined {
    const seen = this.breaches[draft.breach - 1];
    if (seen) return seen;
    const transaction = this.transaction(draft);
    const views = this.views(draft, transaction);
    return (
      this.checkDecision(draft, transaction) ??
      first(views, (view) => checkEffect(view, transaction, draft.branchesDecided === TOLD.commit)) ??
      checkAgreement(views, this.isThreePhase) ??
      first(views, (view) => checkLogged(view, transaction))
    );
  }

  /** AC5: what must be true of a state in which everything has come to its end. */
  checkHealed(draft: Draft): Violation | undefined {
    const transaction = this.transaction(draft);
    const views = this.views(draft, transaction);
    const broken = (detail: string): Violation => ({ rule: 'AC5', detail });
    for (const [branch, { database }] of views.entries()) {
      if (database.prepared) return broken(`branch ${branch + 1} stays in doubt`);
    }
    if (!transaction) return undefined; // presumed aborted: what the branches did is checked against that in `check`
    if (!transaction.decision) return broken('the transaction is never decided');
    const contradicted = views.some((view) => isContradicted(view, transaction));
    if (contradicted !== (transaction.outcome === 'mixed')) {
      return broken(contradicted ? 'an ending by hand is never found' : 'the outcome is mixed, and nothing is');
    }
    if (!contradicted && transaction.endedAt === undefined) return broken('the transaction never ends');
    for (const [branch, { database, logged }] of views.entries()) {
      const missing = transaction.decision === 'commit' && logged?.vote === 'yes' && database.ledger !== 'committed';
      if (missing && !database.endedByHand && !database.hasForgotten)
        return broken(`branch ${branch + 1} never commits`);
    }
    return undefined;
  }

  /** Whether nothing is left to be done: decided, told, ended (or mixed), and nobody in doubt. */
  isSettled(draft: Draft): boolean {
    if (draft.branches.some(({ database }) => this.actors.databases.at(database).prepared)) return false;
    const transaction = this.transaction(draft);
    return !transaction || transaction.endedAt !== undefined || transaction.outcome === 'mixed';
  }

  /** C1: a client is told what the log says, and never anything else afterwards. */
  tell(draft: Draft, decision: Decision): void {
    const logged = this.transaction(draft)?.decision;
    if (logged !== decision) {
      this.note(draft, 'C1', `a client was told ${decision} while the log says ${logged ?? 'nothing'}`);
    }
    if (draft.told !== 0 && draft.told !== TOLD[decision]) this.note(draft, 'C1', 'a client was told both');
    draft.told = TOLD[decision];
  }

  /** AC2: a decision, once in the log, never changes. */
  watchLog(draft: Draft, before: number): void {
    const ballot = this.transaction(draft)?.preCommit;
    const isNew = ballot && ballot.round !== this.actors.transactionOf(before)?.preCommit?.round;
    if (isNew) draft.ballotTerm = draft.term;
    const decided = this.actors.transactionOf(before)?.decision;
    const now = this.transaction(draft)?.decision;
    if (decided && decided !== now) this.note(draft, 'AC2', `the log said ${decided} and says ${now ?? 'nothing'} now`);
    this.compareDecisions(draft);
  }

  /** Section 3: nothing leaves before its record. Section 4.5: a late `yes` is told the decision. */
  watchNode(draft: Draft, node: number, output: NodeEffect, heard: number | undefined): void {
    const transaction = this.transaction(draft);
    for (const number of this.consequencesOnly ? [] : output.sent) {
      const message = this.actors.message(number);
      if (message.type === 'decision') {
        const presumed = !transaction && message.decision === 'abort';
        if (!presumed && transaction?.decision !== message.decision) {
          const said = transaction ? `says ${transaction.decision ?? 'nothing'}` : 'does not know the transaction';
          this.note(draft, 'section 3', `${message.decision} leaves while the log ${said}`);
        }
      } else if (message.type === 'ballot-request') {
        const logged = transaction?.preCommit;
        if (!logged || compareBallots(message.request.ballot, logged) > 0) {
          this.note(draft, 'section 3', 'a ballot of the coordinators leaves before it is in the log');
        } else if (node === draft.leader && draft.ballotTerm !== draft.term) {
          this.note(draft, 'section 6', 'a leader uses a ballot that another leader has logged');
        }
      } else if (message.type === 'commit-one-phase' && transaction?.delegatedTo !== message.branchId) {
        this.note(draft, 'section 3', 'commit-one-phase leaves before the commit was delegated');
      }
    }
    if (output.refused !== undefined) {
      this.note(draft, 'section 2', `the leader proposed what the log must refuse: ${output.refused}`);
    }
    if (output.alert !== undefined && !this.isByHand(draft)) this.note(draft, 'alert', output.alert);
    if (heard !== undefined) this.watchLateYes(draft, node, output, heard);
  }

  /** Section 6: what an acceptor says is on record first, and what the branches decide is one decision. */
  watchBranch(draft: Draft, slot: BranchSlot, { alert, sent }: BranchEffect): void {
    for (const number of sent) {
      const message = this.actors.message(number);
      const decision = decisionIn(message);
      if (decision) this.hearBranches(draft, decision);
      if (!this.consequencesOnly && this.isThreePhase && !this.isOnRecord(slot, message)) {
        this.note(draft, 'section 6', `a branch says what it has not on record: ${message.type}`);
      }
    }
    if (alert !== undefined && !this.isByHand(draft)) this.note(draft, 'alert', alert);
  }

  private hearBranches(draft: Draft, decision: Decision): void {
    const before = draft.branchesDecided;
    draft.branchesDecided = TOLD[decision];
    if (before !== 0 && before !== draft.branchesDecided) this.note(draft, 'ballot', 'the branches decided both ways');
    this.compareDecisions(draft);
  }

  /** What the branches decided and what the log says are the same, whichever came first. */
  private compareDecisions(draft: Draft): void {
    const logged = this.transaction(draft)?.decision;
    if (logged && draft.branchesDecided !== 0 && draft.branchesDecided !== TOLD[logged]) {
      this.note(draft, 'ballot', `the log says ${logged}, and the branches decided otherwise`);
    }
  }

  private isOnRecord({ database }: BranchSlot, message: Message): boolean {
    const { acceptor, hasForgotten, ledger } = this.actors.databases.at(database);
    if (hasForgotten) return true; // it was on record when the process had it
    if (message.type === 'vote') return message.vote === 'no' ? ledger === 'aborted' : acceptor !== undefined;
    if (message.type === 'ballot-request') {
      return acceptor?.promised !== undefined && compareBallots(acceptor.promised, message.request.ballot) >= 0;
    }
    if (message.type !== 'ballot-answer') return true;
    const { answer } = message;
    if (answer.type !== 'promised' && answer.type !== 'accepted') return true;
    const record = answer.type === 'promised' ? acceptor?.promised : acceptor?.accepted?.ballot;
    return record !== undefined && compareBallots(record, answer.ballot) >= 0;
  }

  private watchLateYes(draft: Draft, node: number, output: NodeEffect, heard: number): void {
    const message = this.actors.message(heard);
    const known = this.actors.nodes.at(node).transaction;
    if (message.type !== 'vote' || message.vote !== 'yes' || !known?.decision) return;
    const answered = output.sent.some((number) => {
      const { type, branchId } = this.actors.message(number);
      return type === 'decision' && branchId === message.branchId;
    });
    if (!answered) this.note(draft, 'section 4.5', 'a late yes is not told the decision');
  }

  private transaction(draft: Draft): Readonly<TransactionState> | undefined {
    return this.actors.transactionOf(draft.log);
  }

  private views(draft: Draft, transaction: Readonly<TransactionState> | undefined): BranchView[] {
    return draft.branches.map((slot, branch) => ({
      slot,
      database: this.actors.databases.at(slot.database),
      logged: transaction && findBranch(transaction as TransactionState, this.actors.branchId(branch)),
    }));
  }

  private isByHand(draft: Draft): boolean {
    return draft.branches.some(({ database }) => {
      const { endedByHand, hasForgotten } = this.actors.databases.at(database);
      return endedByHand !== undefined || hasForgotten;
    });
  }

  private checkDecision(draft: Draft, transaction: Readonly<TransactionState> | undefined): Violation | undefined {
    const decision = transaction?.decision;
    if (draft.told !== 0 && (decision === undefined || draft.told !== TOLD[decision])) {
      return { rule: 'AC2', detail: `the log told a client one thing and says ${decision ?? 'nothing'} now` };
    }
    // in three phases a leader that takes over may find that nobody has accepted the commit yet, and branches lose patience
    const isFaulty = this.isThreePhase && (draft.impatient || draft.term > 1 || this.isByHand(draft));
    if (decision === 'abort' && !draft.refused && !draft.late && !isFaulty) {
      return { rule: 'AC4', detail: 'aborted, although nobody refused and the deadline had not passed' };
    }
    return undefined;
  }

  private note(draft: Draft, rule: string, detail: string): void {
    if (draft.breach !== 0) return;
    let index = this.breaches.findIndex((breach) => breach.rule === rule && breach.detail === detail);
    if (index < 0) index = this.breaches.push({ rule, detail }) - 1;
    draft.breach = index + 1;
  }
}

function first(
  views: readonly BranchView[],
  rule: (view: BranchView) => { readonly rule: string; readonly detail: string } | undefined,
): Violation | undefined {
  for (const [branch, view] of views.entries()) {
    const found = rule(view);
    if (found) return { rule: found.rule, detail: `branch ${branch + 1} ${found.detail}` };
  }
  return undefined;
}

/** What one database holds, against the decision. */
function checkEffect(
  { slot, database, logged }: BranchView,
  transaction: Readonly<TransactionState> | undefined,
  branchesCommitted: boolean,
): Violation | undefined {
  if (database.effects > 1) return { rule: 'section 4.7', detail: 'took effect twice' };
  // after a rollback by hand there is no tombstone: the work may be done anew
  if (database.prepared && slot.said & (SAID_NO | SAID_ABORTED) && !database.endedByHand && !database.hasForgotten) {
    return { rule: 'section 5', detail: 'is prepared after it had said that it was aborted' };
  }
  if (database.endedByHand || database.hasForgotten) return undefined;
  const decision = transaction?.decision;
  if (database.ledger === 'committed' && decision !== 'commit') {
    const elsewhere = transaction?.delegatedTo !== undefined || branchesCommitted;
    if (decision !== undefined || !elsewhere)
      return { rule: 'AC1', detail: `is committed while the log says ${decision ?? 'nothing'}` };
  }
  if (decision !== 'commit' || transaction?.delegatedTo !== undefined) return undefined;
  const counted = logged?.vote;
  if (counted !== 'yes' && counted !== 'read-only') {
    return { rule: 'AC3', detail: `is committed by the log without its vote (${counted ?? 'none'})` };
  }
  if (!(slot.said & (counted === 'yes' ? SAID_YES : SAID_READ_ONLY))) {
    return { rule: 'AC3', detail: `never said the ${counted} that the decision counts` };
  }
  if (counted === 'yes' && !database.prepared && database.ledger !== 'committed') {
    return { rule: 'AC1', detail: 'voted yes and holds nothing, and the log says commit' };
  }
  return undefined;
}

/** AC1 without regard to the log: no branch is committed while another has undone work that counts. */
function checkAgreement(views: readonly BranchView[], isThreePhase: boolean): Violation | undefined {
  if (views.some(({ database }) => database.endedByHand)) return undefined;
  const committed = views.findIndex(({ database }) => database.ledger === 'committed');
  const aborted = views.findIndex(
    // in two phases a branch that voted read-only has forgotten it, and may refuse the same work when it comes again
    ({ database, logged }) =>
      database.ledger === 'aborted' && !database.hasForgotten && (isThreePhase || logged?.vote !== 'read-only'),
  );
  if (committed < 0 || aborted < 0) return undefined;
  return { rule: 'AC1', detail: `branch ${committed + 1} is committed and branch ${aborted + 1} is aborted` };
}

/** What the log says of how a branch ended is so. */
function checkLogged(
  { database, logged }: BranchView,
  transaction: Readonly<TransactionState> | undefined,
): Violation | undefined {
  const end = logged?.end;
  if (end === undefined || database.endedByHand || database.hasForgotten) return undefined;
  if (isHazard(end)) return { rule: 'section 5', detail: `is logged as ${end}, and nobody ended it by hand` };
  if (end !== 'read-only' && database.ledger !== end) {
    return { rule: 'section 3', detail: `is logged as ${end}, and its ledger says ${database.ledger ?? 'nothing'}` };
  }
  if (end === 'read-only' && transaction?.decision === 'commit' && logged?.vote === 'yes') {
    return { rule: 'section 3', detail: 'is logged as read-only, and it voted yes' };
  }
  return undefined;
}

/** Whether the branch was ended by hand against the decision, and so that it matters. */
function isContradicted({ database, logged }: BranchView, transaction: Readonly<TransactionState>): boolean {
  // what it had reported before it forgot it is not asked for again: the log has closed its books
  if (database.hasForgotten && logged?.end === 'committed') return false;
  if (!database.endedByHand && !database.hasForgotten) return false;
  if (transaction.decision === 'abort') return database.ledger === 'committed';
  return logged?.vote === 'yes' && database.ledger !== 'committed';
}

/** What a message of a branch says of the decision of the transaction. */
function decisionIn(message: Message): Decision | undefined {
  if (message.type === 'decision' || message.type === 'branches-decided') return message.decision;
  return message.type === 'ballot-answer' && message.answer.type === 'decided' ? message.answer.decision : undefined;
}
