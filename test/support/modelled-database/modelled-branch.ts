import type {
  Acceptor,
  BallotAnswer,
  BallotRequest,
  BranchError,
  Decision,
  OpenedBallot,
} from '@concordat/commit-protocol';
import type { BranchIdentity, OnePhaseResult, VoteResult } from '@concordat/participant';
import { judgeOpening, judgeRequest } from '@concordat/participant/testing';
import {
  acceptorRow,
  BRANCH_ABORTED,
  conclusionOf,
  traceOf,
  votedYes,
  voteOf,
  type AcceptorRow,
  type CastVote,
  type LedgerRow,
} from './database-rows.js';
import { withBallots } from './modelled-acceptor.js';

/** What goes on in a database: what was done before a `yield` is durable, and others may come in between. */
export type DatabaseWork<T> = Generator<undefined, T>;

/** All that is durable of a branch. */
export interface BranchRows {
  /** the row that goes into the ledger when what is prepared is committed */
  readonly prepared: LedgerRow | undefined;
  readonly ledger: LedgerRow | undefined;
  readonly acceptor: AcceptorRow | undefined;
}

/**
 * One branch with its database, after protocol sections 5 and 6, where neither locks nor connections matter: the rows
 * of `ModelledDatabase` without a server around them. Several processes may be at work in it at once, and one that dies
 * leaves what it has done up to then.
 *
 * The handlers run between two calls: `earlierVote` says whether they are to run at all, `vote` takes what came of them.
 */
export class ModelledBranch {
  rows: BranchRows;

  /** @param isPrepared its service has prepared it */
  constructor(
    private readonly identity: BranchIdentity,
    isPrepared = false,
  ) {
    this.rows = { prepared: isPrepared ? this.committedRow([]) : undefined, ledger: undefined, acceptor: undefined };
  }

  get isPrepared(): boolean {
    return this.rows.prepared !== undefined;
  }

  /** How it has ended. */
  get ledger(): LedgerRow['outcome'] | undefined {
    return this.rows.ledger?.outcome;
  }

  /** The vote that stands already. */
  *earlierVote(acceptors: readonly Acceptor[] | undefined): DatabaseWork<VoteResult | undefined> {
    yield;
    const { prepared, ledger, acceptor } = this.rows;
    if (acceptor) return yield* this.give(acceptor);
    const isHeld = prepared !== undefined || ledger?.outcome === 'committed';
    if (isHeld && acceptors) return yield* this.cast(acceptors, votedYes(ledger?.results ?? []));
    if (isHeld) return votedYes(ledger?.results ?? []);
    return ledger && voteOf(ledger);
  }

  /** @param work what came of the handlers */
  *vote(work: VoteResult, acceptors: readonly Acceptor[] | undefined): DatabaseWork<VoteResult> {
    yield;
    if (this.rows.ledger) return voteOf(this.rows.ledger); // a tombstone stops it when it is prepared
    if (work.vote === 'yes') this.save({ prepared: this.committedRow(work.results) });
    if (acceptors) return yield* this.cast(acceptors, work);
    if (work.vote === 'no') yield* this.rollBack(work.error);
    return work;
  }

  /** How it has ended already; what is prepared is committed now. */
  *earlierEnd(): DatabaseWork<OnePhaseResult | undefined> {
    yield;
    if (this.isPrepared) return { end: yield* this.commit(), results: [] };
    return this.rows.ledger && conclusionOf(this.rows.ledger);
  }

  /** In one phase. @param work what came of the handlers */
  *end(work: VoteResult): DatabaseWork<OnePhaseResult> {
    yield;
    if (work.vote === 'read-only' && !this.rows.ledger) return { end: 'read-only', results: work.results };
    const own = work.vote === 'yes' ? this.committedRow(work.results) : this.tombstone(work.error);
    const ledger = this.rows.ledger ?? own;
    this.save({ ledger });
    return conclusionOf(ledger);
  }

  *commit(): DatabaseWork<'committed' | 'read-only' | 'heuristic-rollback'> {
    yield;
    const { prepared, acceptor } = this.rows;
    if (prepared) this.save({ prepared: undefined, ledger: prepared });
    if (this.ledger === 'committed') return 'committed';
    return !this.ledger && acceptor?.vote === 'read-only' ? 'read-only' : 'heuristic-rollback';
  }

  /** By the decision. */
  *abort(): DatabaseWork<'aborted' | 'heuristic-commit'> {
    return yield* this.rollBack(undefined, true);
  }

  /** @param isDecided whether the tombstone is to tell of the decision */
  *rollBack(error?: BranchError, isDecided = false): DatabaseWork<'aborted' | 'heuristic-commit'> {
    do {
      this.save({ prepared: undefined });
      yield; // a late PREPARE comes in here, and only rolling it back once more ends it
    } while (this.isPrepared);
    if (this.ledger === 'committed') return 'heuristic-commit';
    const found = this.rows.ledger ?? this.tombstone(error);
    this.save({ ledger: isDecided ? { ...found, isDecided } : found });
    return 'aborted';
  }

  *answerBallot(
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): DatabaseWork<BallotAnswer | 'refused' | 'unknown'> {
    yield;
    const { acceptor } = this.rows;
    const judgement = judgeRequest(this.identity, this.trace(), request, acceptors);
    if (judgement.type === 'save-and-say') {
      const before = acceptor ?? acceptorRow(this.identity.transactionId, acceptors, { vote: 'no', results: [] });
      this.save({ acceptor: withBallots(before, judgement.state) });
      if (judgement.isRefusal) {
        yield;
        yield* this.rollBack();
      }
    }
    return judgement.answer;
  }

  *openBallot(): DatabaseWork<OpenedBallot> {
    yield;
    const { acceptor } = this.rows;
    const judgement = judgeOpening(this.identity, this.trace());
    if (judgement.type === 'save-and-say' && acceptor) this.save({ acceptor: withBallots(acceptor, judgement.state) });
    if (judgement.type === 'refuse-and-say') yield* this.rollBack();
    return judgement.answer;
  }

  *recordDecision(decision: Decision): DatabaseWork<void> {
    yield;
    const { acceptor } = this.rows;
    if (acceptor) this.save({ acceptor: { ...acceptor, decision: acceptor.decision ?? decision } });
  }

  /** The first vote on record stands. */
  private *cast(acceptors: readonly Acceptor[], vote: CastVote): DatabaseWork<VoteResult> {
    yield;
    const row = this.rows.acceptor ?? acceptorRow(this.identity.transactionId, acceptors, vote);
    this.save({ acceptor: row });
    return yield* this.give(row);
  }

  /** Says what is on record, when nothing contradicts it any more. */
  private *give({ vote, results, error }: AcceptorRow): DatabaseWork<VoteResult> {
    if (vote === 'no') {
      yield* this.rollBack(error);
      return { vote, results: [], error: error ?? BRANCH_ABORTED };
    }
    if (vote === 'read-only') this.save({ prepared: undefined }); // of another run, which nobody has voted on
    yield;
    return { vote, results };
  }

  private trace() {
    const { ledger, acceptor } = this.rows;
    return traceOf(this.isPrepared, ledger, acceptor, false);
  }

  private committedRow(results: LedgerRow['results']): LedgerRow {
    return { transactionId: this.identity.transactionId, outcome: 'committed', results };
  }

  private tombstone(error: BranchError | undefined): LedgerRow {
    return { transactionId: this.identity.transactionId, outcome: 'aborted', results: [], ...(error && { error }) };
  }

  private save(change: Partial<BranchRows>): void {
    this.rows = { ...this.rows, ...change };
  }
}

/** With nobody who comes in between. */
export function toEnd<T>(work: DatabaseWork<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
