import { invariant, type JsonValue } from '@concordat/foundation';
import {
  isPossibleBallot,
  isSameAcceptorSet,
  promiseOwnBallot,
  proposerNumber,
  stepAcceptor,
  type Acceptor,
  type AcceptorState,
  type BallotAnswer,
  type BallotRequest,
  type BranchError,
  type BranchId,
  type Decision,
  type OpenedBallot,
  type Vote,
} from '@concordat/commit-protocol';
import {
  BranchRefusedError,
  type BranchIdentity,
  type BranchWork,
  type OnePhaseResult,
  type PreparedBranch,
  type ResourceManager,
  type TwoPhaseWork,
  type VoteResult,
} from '@concordat/participant';

/** What the handlers of a branch have done so far. */
export interface LocalWork {
  hasWritten: boolean;
}

/** All that is durable of a branch. */
export interface BranchRow {
  readonly isPrepared: boolean;
  readonly ledger?: 'committed' | 'aborted';
  /** the tombstone is there because the decision was told */
  readonly isDecided?: boolean;
  readonly acceptor?: AcceptorState & { readonly acceptors: readonly Acceptor[] };
}

type Work = (context: LocalWork) => Promise<readonly JsonValue[]>;

const NOTHING: BranchRow = { isPrepared: false };
const ABORTED: BranchError = { code: 'BRANCH_ABORTED', message: 'this branch was aborted before' };

/**
 * The database of one participant, after the contract of `ResourceManager`: everything happens at once and is durable,
 * and nothing ever fails. What is `held` waits before it begins, as for a lock.
 */
export class BranchStore implements ResourceManager<LocalWork> {
  readonly held = new Set<BranchId>();
  private readonly rows = new Map<string, BranchRow>();
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly onChange: (branch: BranchIdentity, before: BranchRow, after: BranchRow) => void) {}

  row(branch: BranchIdentity): BranchRow {
    return this.rows.get(keyOf(branch)) ?? NOTHING;
  }

  /** A service has prepared its work by itself. */
  prepareByService(branch: BranchIdentity): void {
    this.rows.set(keyOf(branch), { isPrepared: true });
  }

  /** Nothing waits any more. */
  release(): void {
    this.held.clear();
    for (const resume of this.waiting.splice(0)) resume();
  }

  async prepare(branch: BranchWork, work: Work): Promise<VoteResult> {
    await this.turn(branch);
    const acceptors = branch.protocol === '3pc' ? branch.acceptors : undefined;
    const earlier = this.earlierVote(branch);
    if (earlier) return acceptors ? this.record(branch, acceptors, earlier) : voted(earlier);
    const vote = await this.run(branch, work);
    if (vote === 'yes') this.save(branch, { isPrepared: true });
    if (acceptors) return this.record(branch, acceptors, vote);
    if (vote === 'no') this.endAs(branch, 'aborted');
    return voted(vote);
  }

  async commitOnePhase(branch: TwoPhaseWork, work: Work): Promise<OnePhaseResult> {
    await this.turn(branch);
    const { ledger, isPrepared } = this.row(branch);
    if (ledger) return { end: ledger, results: [] };
    const vote = isPrepared ? 'yes' : await this.run(branch, work);
    if (vote === 'read-only') return { end: 'read-only', results: [] };
    this.endAs(branch, vote === 'yes' ? 'committed' : 'aborted');
    return { end: vote === 'yes' ? 'committed' : 'aborted', results: [] };
  }

  async commit(branch: BranchIdentity): Promise<'committed' | 'read-only' | 'heuristic-rollback'> {
    await this.turn(branch);
    const { isPrepared, ledger, acceptor } = this.row(branch);
    if (isPrepared) this.endAs(branch, 'committed');
    if (isPrepared || ledger === 'committed') return 'committed';
    return !ledger && acceptor?.vote === 'read-only' ? 'read-only' : 'heuristic-rollback';
  }

  async abort(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    const end = await this.rollBack(branch);
    if (end === 'aborted') this.save(branch, { isDecided: true });
    return end;
  }

  async rollBack(branch: BranchIdentity): Promise<'aborted' | 'heuristic-commit'> {
    await this.turn(branch);
    if (this.row(branch).ledger === 'committed') return 'heuristic-commit';
    this.endAs(branch, 'aborted');
    return 'aborted';
  }

  async answerBallot(
    branch: BranchIdentity,
    request: BallotRequest,
    acceptors: readonly Acceptor[],
  ): Promise<BallotAnswer | 'refused' | 'unknown'> {
    await this.turn(branch);
    if (!isPossibleBallot(request.ballot, acceptors.length)) return 'refused';
    const { acceptor, isPrepared } = this.row(branch);
    const decision = this.decisionOf(branch);
    if (decision) return { type: 'decided', decision };
    if (!acceptor && isPrepared) return 'unknown';
    if (acceptor && !isSameAcceptorSet(acceptor.acceptors, acceptors)) return 'refused';
    const step = stepAcceptor(acceptor ?? stateOf(undefined), request);
    switch (step.type) {
      case 'refuse':
        return 'refused';
      case 'answer':
        this.save(branch, { acceptor: { ...step.state, acceptors } });
        if (step.state.vote === 'no') this.endAs(branch, 'aborted');
        return step.answer;
    }
  }

  async openBallot(branch: BranchIdentity): Promise<OpenedBallot> {
    await this.turn(branch);
    const decision = this.decisionOf(branch);
    if (decision) return { type: 'decided', decision };
    const { acceptor } = this.row(branch);
    if (acceptor?.vote !== 'yes') return { type: 'not-an-acceptor' };
    const { acceptors, accepted } = acceptor;
    const own = promiseOwnBallot(acceptor, proposerNumber(acceptors, branch.branchId)!);
    if (!own) return { type: 'not-an-acceptor' };
    this.save(branch, { acceptor: { ...own.state, acceptors } });
    return { type: 'opened', ballot: own.ballot, accepted, acceptors };
  }

  async recordDecision(branch: BranchIdentity, decision: Decision): Promise<void> {
    await this.turn(branch);
    const { acceptor } = this.row(branch);
    if (acceptor && !acceptor.decision) this.save(branch, { acceptor: { ...acceptor, decision } });
  }

  gidOf({ transactionId, branchId }: BranchIdentity): string {
    return `concordat:fuzz:${transactionId}:${branchId}`;
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    return [];
  }

  private async run(branch: BranchWork, work: Work): Promise<Vote> {
    const context: LocalWork = { hasWritten: false };
    try {
      if (branch.protocol === '2pc' || branch.enlistedVote !== 'read-only') await work(context);
      return context.hasWritten ? 'yes' : 'read-only';
    } catch (error) {
      invariant(error instanceof BranchRefusedError, 'a handler fails only by refusing');
      return 'no';
    }
  }

  private earlierVote(branch: BranchIdentity): Vote | undefined {
    const { acceptor, isPrepared, ledger } = this.row(branch);
    if (acceptor?.vote) return acceptor.vote;
    if (isPrepared || ledger === 'committed') return 'yes';
    return ledger && 'no';
  }

  /** The first vote on record stands. */
  private record(branch: BranchIdentity, acceptors: readonly Acceptor[], vote: Vote): VoteResult {
    const acceptor = this.row(branch).acceptor ?? { ...stateOf(vote), acceptors };
    this.save(branch, { acceptor });
    if (acceptor.vote === 'no') this.endAs(branch, 'aborted');
    return voted(acceptor.vote!);
  }

  private decisionOf(branch: BranchIdentity): Decision | undefined {
    const { acceptor, ledger, isDecided } = this.row(branch);
    if (acceptor?.decision) return acceptor.decision;
    if (ledger === 'committed') return 'commit';
    return isDecided ? 'abort' : undefined;
  }

  private endAs(branch: BranchIdentity, end: 'committed' | 'aborted'): void {
    this.save(branch, { isPrepared: false, ledger: this.row(branch).ledger ?? end });
  }

  private save(branch: BranchIdentity, change: Partial<BranchRow>): void {
    const before = this.row(branch);
    const after = { ...before, ...change };
    this.rows.set(keyOf(branch), after);
    this.onChange(branch, before, after);
  }

  private turn({ branchId }: BranchIdentity): Promise<void> | undefined {
    return this.held.has(branchId) ? new Promise((resolve) => this.waiting.push(resolve)) : undefined;
  }
}

function voted(vote: Vote): VoteResult {
  return { vote, results: [], ...(vote === 'no' && { error: ABORTED }) };
}

function stateOf(vote: Vote | undefined): AcceptorState {
  return { vote, promised: undefined, accepted: undefined, decision: undefined };
}

function keyOf({ transactionId, branchId }: BranchIdentity): string {
  return `${transactionId}/${branchId}`;
}
