import { includesAcceptor } from '../ballots/ballot-legitimacy.js';
import { BallotProposer } from '../ballots/ballot-proposer.js';
import type { AcceptedValue, Acceptor, Ballot, BallotAnswer, BallotRequest } from '../ballots/ballot.js';
import type {
  BallotAnswerMessage,
  BallotRequestMessage,
  BranchAddress,
  DecisionMessage,
} from '../vocabulary/messages.js';
import type { BranchId, Decision, TransactionId } from '../vocabulary/types.js';

/** Requests of one branch that wait at once: of the coordinators and of every other branch, the latest of each. */
const MAXIMUM_WAITING = 65;

/** What came of opening a ballot: see `ResourceManager.openBallot`. */
export type OpenedBallot =
  | {
      readonly type: 'opened';
      /** promised to nobody else, durably */
      readonly ballot: Ballot;
      readonly accepted: AcceptedValue | undefined;
      readonly acceptors: readonly Acceptor[];
    }
  /** the branch has ended, or knows the decision */
  | { readonly type: 'decided'; readonly decision: Decision }
  /** it has no vote as an acceptor: it can only inquire */
  | { readonly type: 'not-an-acceptor' };

/** What a ballot of this branch's own gives rise to. */
export interface BallotStep {
  /** for the other branches */
  readonly requests: readonly BallotRequestMessage[];
  /** the ballot has decided this */
  readonly decision?: Decision;
  /** branches that turn out to have forgotten their votes; each is named once for a ballot */
  readonly amnesiacs?: readonly Acceptor[];
}

const NOTHING: BallotStep = { requests: [] };

/**
 * The ballots of one branch in memory (protocol section 6): requests that wait for the database, and its own ballot as
 * a proposer. Everything an acceptor must not forget lies behind `run-ballot` and `open-ballot`; forgetting this only
 * means that a ballot comes to nothing, and a later one above it is opened.
 *
 *     own ballot: none --due--> opening --opened--> running --majority--> decided;  running --outbid--> none
 */
export class BranchBallots {
  private readonly waiting: BallotRequestMessage[] = [];
  private isDue = false;
  private own: BallotProposer | undefined;
  private readonly reportedAmnesiacs = new Set<BranchId>();
  private acceptors: readonly Acceptor[] = [];

  constructor(private readonly self: BranchAddress) {}

  /** The set of its own ballot that has been opened. */
  get others(): readonly Acceptor[] {
    return this.acceptors.filter(({ branchId }) => branchId !== this.self.branchId);
  }

  /** Branches that turned out to have lost their votes, in all ballots of this one. */
  get knownAmnesiacs(): readonly BranchId[] {
    return [...this.reportedAmnesiacs];
  }

  get hasWork(): boolean {
    return this.isDue || this.waiting.length > 0;
  }

  /** A later request of the same proposer replaces one that still waits. */
  enqueue(message: BallotRequestMessage): void {
    const proposerId = message.proposer?.branchId;
    const place = this.waiting.findIndex(({ proposer }) => proposer?.branchId === proposerId);
    if (place >= 0) this.waiting.splice(place, 1);
    else if (this.waiting.length >= MAXIMUM_WAITING) this.waiting.shift(); // asked again by whoever still cares
    this.waiting.push(message);
  }

  /** The branch has waited long enough: it is to open a ballot, above any that it has opened before. */
  terminate(): void {
    this.isDue = true;
  }

  /** What to bring before the database next; a request first, because a higher ballot makes an own one pointless. */
  takeNext(): BallotRequestMessage | 'open' | undefined {
    const request = this.waiting.shift();
    if (request) return request;
    if (!this.isDue) return undefined;
    this.isDue = false;
    return 'open';
  }

  /** Nothing is to be asked or opened any more: the branch knows the decision. */
  settle(): void {
    this.isDue = false;
    this.own = undefined;
  }

  onOpened({ ballot, accepted, acceptors }: Extract<OpenedBallot, { type: 'opened' }>): BallotStep {
    this.acceptors = acceptors;
    this.own = new BallotProposer(ballot, acceptors);
    this.own.onAnswer(this.self.branchId, { type: 'promised', ballot, accepted });
    return this.ask(this.own);
  }

  /** An answer to this branch's own ballot, of another branch or of itself. */
  onAnswer(from: Acceptor, answer: BallotAnswer): BallotStep {
    const { own } = this;
    if (!own || !includesAcceptor(this.acceptors, from)) return NOTHING;
    const isNews = own.onAnswer(from.branchId, answer);
    const amnesiacs = own.amnesiacs.filter(({ branchId }) => !this.reportedAmnesiacs.has(branchId));
    for (const { branchId } of amnesiacs) this.reportedAmnesiacs.add(branchId);
    return { ...(isNews ? this.afterNews(own) : NOTHING), amnesiacs };
  }

  private afterNews(own: BallotProposer): BallotStep {
    switch (own.outcome.type) {
      case 'open':
        return this.ask(own);
      case 'decided':
        return { requests: [], decision: own.outcome.decision };
      case 'outbid':
        this.own = undefined; // whoever did it goes on; if not, this branch is due again
        return NOTHING;
    }
  }

  /** To the others over the bus; its own acceptance goes to the database like theirs. */
  private ask(own: BallotProposer): BallotStep {
    const requests = own.requests().map(({ to, request }) => this.requestFor(to, request));
    const self = requests.find(({ branchId }) => branchId === this.self.branchId);
    if (self) this.enqueue(self);
    return { requests: requests.filter((request) => request !== self) };
  }

  private requestFor({ branchId, participant }: Acceptor, request: BallotRequest): BallotRequestMessage {
    const { transactionId } = this.self;
    const { acceptors } = this;
    return {
      type: 'ballot-request',
      transactionId,
      branchId,
      participant,
      request,
      acceptors,
      proposer: this.asAcceptor,
    };
  }

  private get asAcceptor(): Acceptor {
    return { branchId: this.self.branchId, participant: this.self.participant };
  }
}

/** Whether a branch asks itself: its answer stays in memory. */
export function isOwnRequest({ branchId, proposer }: BallotRequestMessage): boolean {
  return proposer?.branchId === branchId;
}

/** The answer as it travels to whoever asked. */
export function answerMessage(
  { transactionId, branchId, participant, proposer }: BallotRequestMessage,
  answer: BallotAnswer,
): BallotAnswerMessage {
  return { type: 'ballot-answer', transactionId, branchId, participant, answer, ...(proposer && { proposer }) };
}

/** The decision for each of the other branches. */
export function decisionsFor(
  others: readonly Acceptor[],
  transactionId: TransactionId,
  decision: Decision,
): DecisionMessage[] {
  return others.map((other) => ({ type: 'decision', transactionId, ...other, decision, attempt: 0 }));
}
