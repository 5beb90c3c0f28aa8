import { invariant } from '@concordat/foundation';
import {
  promiseOwnBallot,
  stepAcceptor,
  type Acceptor,
  type AcceptorState,
  type BallotAnswer,
  type BallotRequest,
  type BranchEnd,
  type Decision,
  type OpenedBallot,
  type Vote,
} from '@concordat/commit-protocol';
import { BranchDatabase, type DatabaseAnswer, type DatabaseOperation } from './branch-database.js';

const NOT_OPENED = { type: 'ballot-opened', opened: { type: 'not-an-acceptor' } } as const;
const DECISIONS = { committed: 'commit', aborted: 'abort' } as const;

/**
 * The database of a branch in three phases (protocol section 6): the prepared transaction and the ledger of two
 * phases, and beside them the row of `concordat_acceptor`, which is the branch's vote and its place in ballots.
 *
 * What is committed for itself is a step for itself: first PREPARE, then the row, then the vote; first a `no` in the
 * row, then the tombstone, then the answer. Between them anything may happen, and the process may die.
 */
export class AcceptorDatabase extends BranchDatabase {
  protected row: AcceptorState | undefined;

  /** @param place of the branch in the set, from 0 */
  constructor(
    private readonly place: number,
    private readonly acceptors: readonly Acceptor[],
  ) {
    super();
  }

  override get acceptor(): Readonly<AcceptorState> | undefined {
    return this.row;
  }

  override runsHandler(operation: DatabaseOperation): boolean {
    return !this.abstains && super.runsHandler(operation) && this.row === undefined;
  }

  override forget(isNoticed: boolean): void {
    super.forget(isNoticed);
    this.row = undefined;
  }

  override execute(operation: DatabaseOperation, inclination: Vote): DatabaseAnswer {
    if (this.abstains) {
      const answer = this.abstain(operation);
      if (answer) return answer;
    }
    switch (operation.type) {
      case 'prepare':
        return this.prepareAndGoOn(inclination);
      case 'record-vote':
        return this.recordVote(operation.vote);
      case 'undo':
        this.prepared = false;
        return { type: 'voted', vote: 'read-only' };
      case 'abort-alone':
        this.rollBack();
        return operation.answer;
      case 'answer-ballot':
        return this.answerBallot(operation.request);
      case 'open-ballot':
        if (this.row?.vote === 'no') return continues({ type: 'abort-alone', answer: NOT_OPENED });
        return { type: 'ballot-opened', opened: this.openBallot() };
      case 'one-phase':
      case 'commit':
      case 'abort':
        return super.execute(operation, inclination);
    }
  }

  /** It gives no vote, no promise and no acceptance; what it is told to do it does. */
  protected abstain(operation: DatabaseOperation): DatabaseAnswer | undefined {
    switch (operation.type) {
      case 'prepare':
      case 'record-vote':
        return { type: 'unknown' };
      case 'open-ballot':
        return NOT_OPENED;
      case 'answer-ballot': {
        if (this.isDecided) return undefined;
        const { ballot } = operation.request;
        const dissents = this.row ? this.row.vote === 'no' : !this.prepared;
        return { type: 'ballot-answered', answer: { type: 'abstains', ballot, ...(dissents && { dissents }) } };
      }
      default:
        return undefined;
    }
  }

  /** Looks first, and runs the handler only where nothing was ever said. */
  private prepareAndGoOn(inclination: Vote): DatabaseAnswer {
    if (this.row?.vote) return this.give(this.row.vote);
    if (this.prepared) return this.afterWork('yes');
    if (this.ledger === 'aborted') return { type: 'voted', vote: 'no' };
    if (inclination === 'yes') this.prepared = true;
    return this.afterWork(inclination);
  }

  protected afterWork(vote: Vote): DatabaseAnswer {
    return continues({ type: 'record-vote', vote });
  }

  /** The first vote on record wins. */
  protected recordVote(vote: Vote): DatabaseAnswer {
    this.row ??= { vote, promised: undefined, accepted: undefined, decision: undefined };
    return this.give(this.row.vote ?? vote);
  }

  /** Says what is on record, when nothing contradicts it any more. */
  private give(vote: Vote): DatabaseAnswer {
    if (vote === 'no') return continues({ type: 'abort-alone', answer: { type: 'voted', vote } });
    if (vote === 'read-only' && this.prepared) return continues({ type: 'undo' });
    return { type: 'voted', vote };
  }

  /** Late work had looked before; at its PREPARE nothing but the key in the ledger stands in its way. */
  override settleLate(carriedOut: boolean): void {
    if (this.late?.type !== 'prepare') return super.settleLate(carriedOut);
    this.late = undefined;
    if (carriedOut && this.ledger === undefined) this.prepared = true;
  }

  protected answerBallot(request: BallotRequest): DatabaseAnswer {
    if (this.isDecided) return { type: 'ballot-answered', answer: { type: 'decided', decision: 'abort' } };
    if (!this.row) {
      // a commit may have been made by hand, and proves nothing
      return this.prepared || this.ledger === 'committed' ? { type: 'unknown' } : this.answerWithoutVote(request);
    }
    return this.answerAs(this.row, request);
  }

  /** It has not voted, and votes no by its answer. */
  protected answerWithoutVote(request: BallotRequest): DatabaseAnswer {
    return this.answerAs({ vote: undefined, promised: undefined, accepted: undefined, decision: undefined }, request);
  }

  private answerAs(state: AcceptorState, request: BallotRequest): DatabaseAnswer {
    const step = this.stepRow(state, request);
    if (step.type === 'refuse') return { type: 'unknown' };
    this.keep(step.state, step.answer);
    const answer: DatabaseAnswer = { type: 'ballot-answered', answer: step.answer };
    const hasTombstone = this.ledger === 'aborted' && !this.prepared;
    return step.state.vote === 'no' && !hasTombstone ? continues({ type: 'abort-alone', answer }) : answer;
  }

  protected stepRow(state: AcceptorState, request: BallotRequest): ReturnType<typeof stepAcceptor> {
    return stepAcceptor(state, request, this.ledger === 'committed');
  }

  protected keep(state: AcceptorState, _answer: BallotAnswer): void {
    this.row = state;
  }

  protected openBallot(): OpenedBallot {
    const decision = this.decision();
    if (decision) return { type: 'decided', decision };
    if (this.row?.vote !== 'yes') return { type: 'not-an-acceptor' };
    const promised = promiseOwnBallot(this.row, this.place + 1);
    invariant(promised, 'a model does not run out of rounds');
    this.row = promised.state;
    return { type: 'opened', ballot: promised.ballot, accepted: promised.state.accepted, acceptors: this.acceptors };
  }

  protected override commit(): BranchEnd {
    if (!this.prepared && this.ledger === undefined && this.row?.vote === 'read-only') return 'read-only';
    return super.commit();
  }

  private decision(): Decision | undefined {
    return this.ledger && DECISIONS[this.ledger];
  }
}

export function continues(operation: DatabaseOperation): DatabaseAnswer {
  return { type: 'continues', with: operation };
}
