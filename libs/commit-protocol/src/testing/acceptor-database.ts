import { invariant } from '@concordat/foundation';
import { promiseOwnBallot, stepAcceptor, type AcceptorState } from '../ballots/acceptor.js';
import { compareBallots, FIRST_BALLOT, proposerNumber, type Acceptor, type BallotAnswer } from '../ballots/ballot.js';
import { isSameAcceptorSet } from '../ballots/ballot-legitimacy.js';
import type { OpenedBallot } from '../participant/branch-ballots.js';
import type { BallotRequestMessage, BranchAddress, ThreePhasePrepareMessage } from '../vocabulary/messages.js';
import type { BranchEnd, Decision, Vote } from '../vocabulary/types.js';

/** What goes on in a database: what was done before a `yield` is durable, and others may come in between. */
export type DatabaseWork<T> = Generator<undefined, T>;

/**
 * A branch with its database in three phases, after protocol sections 5 and 6: a prepared transaction, the ledger, and
 * the row of the acceptor. Everything here is durable. Several processes may be at work in it at once, and one that
 * dies leaves what it has done up to then.
 */
export class AcceptorDatabase {
  ledger: 'committed' | 'aborted' | undefined;
  /** the tombstone is there because the decision was told */
  private isDecided = false;
  private row: { readonly acceptors: readonly Acceptor[]; state: AcceptorState } | undefined;

  /**
   * @param inclination what its work comes to
   * @param isPrepared its service has prepared it already
   */
  constructor(
    readonly address: BranchAddress,
    readonly inclination: Vote,
    public isPrepared: boolean,
  ) {}

  /** Its vote is on record; only then may it open a ballot. */
  get recordedVote(): Vote | undefined {
    return this.row?.state.vote;
  }

  /** Whether it can answer a ballot: while it is prepared and its vote not on record, nothing may be said of it. */
  get canAnswer(): boolean {
    return this.row !== undefined || !this.isPrepared;
  }

  /** Whether it has accepted the coordinators' first ballot, and no later one. */
  get hasAcceptedFirst(): boolean {
    const accepted = this.row?.state.accepted;
    return accepted !== undefined && compareBallots(accepted.ballot, FIRST_BALLOT) === 0;
  }

  get acceptors(): readonly Acceptor[] {
    return this.row?.acceptors ?? [];
  }

  *prepare({ acceptors, enlistedVote }: ThreePhasePrepareMessage): DatabaseWork<Vote> {
    if (!this.row) {
      yield; // its work runs
      if (this.ledger) return this.ledger === 'committed' ? 'yes' : 'no'; // a tombstone stops it when it is prepared
      const vote = this.work(enlistedVote);
      yield;
      if (vote === 'no') {
        yield* this.rollBack();
        return 'no';
      }
      this.row ??= { acceptors, state: newState(vote) }; // the first vote on record wins
      if (this.recordedVote === 'read-only') this.isPrepared = false;
      yield;
    }
    if (this.recordedVote === 'no') yield* this.rollBack();
    return this.recordedVote!;
  }

  *commitOnePhase(): DatabaseWork<BranchEnd> {
    yield;
    if (this.inclination === 'read-only' && !this.ledger) return 'read-only';
    this.ledger ??= this.inclination === 'yes' ? 'committed' : 'aborted';
    return this.ledger;
  }

  *commit(): DatabaseWork<BranchEnd> {
    yield;
    if (this.isPrepared) this.ledger = 'committed';
    this.isPrepared = false;
    if (this.ledger === 'committed') return 'committed';
    return this.recordedVote === 'read-only' ? 'read-only' : 'heuristic-rollback';
  }

  /** By the decision. */
  *abort(): DatabaseWork<BranchEnd> {
    const end = yield* this.rollBack();
    this.isDecided ||= end === 'aborted';
    return end;
  }

  /** With a tombstone that says nothing of the decision. */
  private *rollBack(): DatabaseWork<BranchEnd> {
    do {
      this.isPrepared = false;
      yield; // a late PREPARE comes in here, and only rolling it back once more ends it
    } while (this.isPrepared);
    this.ledger ??= 'aborted';
    return this.ledger === 'aborted' ? 'aborted' : 'heuristic-commit';
  }

  *answerBallot({ request, acceptors }: BallotRequestMessage): DatabaseWork<BallotAnswer | undefined> {
    yield;
    if (this.isDecided) return { type: 'decided', decision: 'abort' };
    if (!this.row && (this.isPrepared || this.ledger === 'committed')) return undefined; // its vote may be on its way
    if (this.row && !isSameAcceptorSet(acceptors, this.row.acceptors)) return undefined;
    const step = stepAcceptor(this.row?.state ?? newState(undefined), request, this.ledger === 'committed');
    if (step.type !== 'answer') return undefined;
    this.row = { acceptors, state: step.state };
    if (step.state.vote !== 'no') return step.answer;
    yield;
    yield* this.rollBack(); // it may have died before its tombstone
    return step.answer;
  }

  *openBallot(): DatabaseWork<OpenedBallot> {
    yield;
    if (this.decision) return { type: 'decided', decision: this.decision };
    if (!this.row) return { type: 'not-an-acceptor' };
    const { acceptors, state } = this.row;
    if (state.vote === 'no') return { type: 'not-an-acceptor' };
    const opened = promiseOwnBallot(state, proposerNumber(acceptors, this.address.branchId)!);
    invariant(opened, 'there are rounds left');
    this.row.state = opened.state;
    return { type: 'opened', ballot: opened.ballot, accepted: state.accepted, acceptors };
  }

  private get decision(): Decision | undefined {
    if (!this.ledger) return undefined;
    return this.ledger === 'committed' ? 'commit' : 'abort';
  }

  private work(enlistedVote: ThreePhasePrepareMessage['enlistedVote']): Vote {
    if (this.isPrepared) return 'yes';
    if (enlistedVote === 'yes') return 'no'; // it is not there, and is never run empty
    const vote = enlistedVote ?? this.inclination;
    this.isPrepared = vote === 'yes';
    return vote;
  }
}

function newState(vote: Vote | undefined): AcceptorState {
  return { vote, promised: undefined, accepted: undefined, decision: undefined };
}
