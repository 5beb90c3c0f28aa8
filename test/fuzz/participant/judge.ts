import {
  compareBallots,
  isDissent,
  isSameAcceptorSet,
  type Ballot,
  type BallotAnswerMessage,
  type BallotRequestMessage,
  type DoneMessage,
  type ProtocolMessage,
  type VoteMessage,
} from '@concordat/commit-protocol';
import type { BranchIdentity } from '@concordat/participant';
import type { BranchRows } from '../../support/modelled-database/modelled-branch.js';

/**
 * Knows what was said to the branches of one participant, and watches what becomes of their rows in its database, and
 * whether what it says is true. A message counts for the one branch that it names, at this participant.
 */
export class ParticipantJudge {
  readonly violations: string[] = [];
  /** while set, no other branch that keeps the rules is there to answer ballots */
  isStorm = false;
  private readonly heard = new Map<string, Set<string>>();
  private readonly saidInStorm = new Map<string, Set<string>>();

  constructor(
    private readonly participant: string,
    private readonly rowsOf: (branch: BranchIdentity) => BranchRows,
  ) {}

  delivered(message: ProtocolMessage): void {
    if (!('branchId' in message) || message.participant !== this.participant) return;
    const heard = setOf(this.heard, message);
    heard.add(message.type);
    if (this.isStorm) setOf(this.saidInStorm, message).add(message.type);
    if (message.type === 'decision') heard.add(`decision ${message.decision}`);
    if (message.type === 'ruling') heard.add(`ruling ${message.ruling}`);
  }

  /** The types of all that was said to a branch during the storm. */
  heardInStorm(branch: BranchIdentity): ReadonlySet<string> {
    return this.saidInStorm.get(keyOf(branch)) ?? new Set();
  }

  changed(branch: BranchIdentity, before: BranchRows, after: BranchRows): void {
    const complain = (rule: string): void => this.violate(`${rule}: ${JSON.stringify({ branch, before, after })}`);
    const end = after.ledger?.outcome;
    if (before.ledger && end !== before.ledger.outcome) complain('the ledger never changes');
    if (before.prepared && !after.prepared && !end) complain('what is prepared ends in the ledger');
    if (!before.ledger && end && !this.mayEnd(branch, before, end)) complain('nobody said so');
    if (!before.prepared && after.prepared && !this.was(branch, 'prepare')) complain('nobody asked for it');
    const [old, young] = [before.acceptor, after.acceptor];
    if (!old) return;
    if (!young || old.vote !== young.vote || !isSameAcceptorSet(old.acceptors, young.acceptors))
      complain('vote and set of an acceptor never change');
    if (isLower(young?.promised, old.promised)) complain('a promise is kept');
    if (isLower(young?.accepted?.ballot, old.accepted?.ballot)) complain('what is accepted is not forgotten');
    if (old.decision && young?.decision !== old.decision) complain('a decision on record never changes');
  }

  published(message: ProtocolMessage): void {
    switch (message.type) {
      case 'vote':
        return this.vote(message);
      case 'done':
        return this.done(message);
      case 'ballot-answer':
        return this.ballotAnswer(message);
      case 'ballot-request':
        return this.ballotRequest(message);
      case 'branches-decided':
      case 'decision':
        if (this.isStorm) this.violate(`nobody can have decided ${JSON.stringify(message)}`);
        return;
      case 'announce':
      case 'inquiry':
      case 'termination-due':
        return;
      default:
        this.violate(`sent a ${message.type}`);
    }
  }

  failed(error: unknown): void {
    this.violate(`sent what nobody can read: ${String(error)}`);
  }

  /** A branch that holds something ends by what it is told; one that does not may refuse, or abort alone. */
  private mayEnd(branch: BranchIdentity, { prepared, acceptor }: BranchRows, end: 'committed' | 'aborted'): boolean {
    if (end === 'committed') {
      const isTold = prepared && (this.was(branch, 'decision commit') || this.was(branch, 'ruling commit'));
      return isTold || this.was(branch, 'commit-one-phase') || this.isByBallot();
    }
    if (this.was(branch, 'decision abort') || this.was(branch, 'ruling abort')) return true;
    if (prepared || acceptor?.vote === 'yes' || acceptor?.vote === 'read-only') return this.isByBallot();
    const reasons = ['prepare', 'commit-one-phase', 'ballot-request', 'decision', 'ruling'];
    return reasons.some((type) => this.was(branch, type)); // there is nothing that could be committed
  }

  /** Only with others that keep the rules is there a majority. */
  private isByBallot(): boolean {
    return !this.isStorm;
  }

  private vote(message: VoteMessage): void {
    const { prepared, ledger, acceptor } = this.rowsOf(message);
    const isTrue = {
      yes: prepared || ledger?.outcome === 'committed',
      no: ledger?.outcome === 'aborted',
      'read-only': !prepared && (!acceptor || acceptor.vote === 'read-only'),
    }[message.vote];
    if (!isTrue) this.lied(message);
  }

  private done(message: DoneMessage): void {
    const { prepared, ledger } = this.rowsOf(message);
    const outcome = ledger?.outcome;
    const isTrue = {
      committed: outcome === 'committed',
      'heuristic-commit': outcome === 'committed',
      aborted: outcome === 'aborted',
      'heuristic-rollback': outcome !== 'committed' && !prepared,
      'read-only': !prepared && !ledger,
    }[message.end];
    if (!isTrue) this.lied(message);
  }

  private ballotAnswer(message: BallotAnswerMessage): void {
    const { answer } = message;
    const { acceptor, ledger } = this.rowsOf(message);
    if (isDissent(answer) && (acceptor?.vote !== 'no' || ledger?.outcome !== 'aborted')) this.lied(message);
    switch (answer.type) {
      case 'promised':
        if (!acceptor || isLower(acceptor.promised, answer.ballot)) this.lied(message);
        return;
      case 'accepted':
        if (!acceptor || isLower(acceptor.accepted?.ballot, answer.ballot)) this.lied(message);
        return;
      case 'outbid':
        if (!acceptor || isLower(acceptor.promised, answer.promised)) this.lied(message);
        return;
      case 'abstains':
        return this.lied(message); // nothing is ever lost here
      case 'decided': {
        const ended = answer.decision === 'commit' ? ledger?.outcome === 'committed' : ledger?.isDecided === true;
        if (acceptor?.decision !== answer.decision && !ended) this.lied(message);
      }
    }
  }

  /** Only an acceptor opens a ballot, under its own number, and has promised it to itself. */
  private ballotRequest(message: BallotRequestMessage): void {
    const { proposer, request, acceptors, transactionId } = message;
    const { acceptor } = proposer ? this.rowsOf({ transactionId, branchId: proposer.branchId }) : {};
    const isOwn = proposer?.participant === this.participant && acceptor?.vote === 'yes';
    if (!isOwn || isLower(acceptor.promised, request.ballot) || !isSameAcceptorSet(acceptor.acceptors, acceptors))
      this.lied(message);
  }

  private lied(message: ProtocolMessage): void {
    const rows = 'branchId' in message ? this.rowsOf(message) : undefined;
    this.violate(`says ${JSON.stringify(message)}, but has ${JSON.stringify(rows)}`);
  }

  private was(branch: BranchIdentity, what: string): boolean {
    return this.heard.get(keyOf(branch))?.has(what) === true;
  }

  private violate(rule: string): void {
    this.violations.push(rule.slice(0, 1_500));
  }
}

function isLower(left: Ballot | undefined, right: Ballot | undefined): boolean {
  if (!right) return false;
  return !left || compareBallots(left, right) < 0;
}

function keyOf({ transactionId, branchId }: BranchIdentity): string {
  return `${transactionId}/${branchId}`;
}

function setOf(sets: Map<string, Set<string>>, branch: BranchIdentity): Set<string> {
  let found = sets.get(keyOf(branch));
  if (!found) sets.set(keyOf(branch), (found = new Set()));
  return found;
}
