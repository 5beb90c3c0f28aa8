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

/** Waiting requests of one branch: the latest of the coordinators and of every other branch. */
const MAXIMUM_WAITING = 65;

/** The result of opening a ballot: see `ResourceManager.openBallot`. */
export type OpenedBallot =
  | {
      readonly type: 'opened';
      /** promised to no other proposer, durably */
      readonly ballot: Ballot;
      readonly accepted: AcceptedValue | undefined;
      readonly acceptors: readonly Acceptor[];
    }
  /** the branch has ended, or knows the decision */
  | { readonly type: 'decided'; readonly decision: Decision }
  /** it has no vote as an acceptor: it can only inquire */
  | { readonly type: 'not-an-acceptor' };

/** The effects of this branch's own ballot. */
export interface BallotStep {
  /** for the other branches */
  readonly requests: readonly BallotRequestMessage[];
  /** the ballot has decided this */
  readonly decision?: Decision;
  /** branches that have lost their votes; a ballot names each of them once */
  readonly amnesiacs?: readonly Acceptor[];
}

const NOTHING: BallotStep = { requests: [] };

/**
 * The ballots of one branch in memory (protocol section 6): requests that wait for the database, and its own ballot as
 * a proposer. The durable part is behind `run-ballot` and `open-ballot`. If this is lost, a ballot fails, and a later
 * one above it is opened.
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

  /** The acceptors of its own open ballot. */
  get others(): readonly Acceptor[] {
    return this.acceptors.filter(({ branchId }) => branchId !== this.self.branchId);
  }

  /** Branches that have lost their votes, from all ballots of this branch. */
  get knownAmnesiacs(): readonly BranchId[] {
    return [...this.reportedAmnesiacs];
  }

  get hasWork(): boolean {
    return this.isDue || this.waiting.length > 0;
  }

  /** A later request of the same proposer replaces a waiting one. */
  enqueue(message: BallotRequestMessage): void {
    const proposerId = message.proposer?.branchId;
    const place = this.waiting.findIndex(({ proposer }) => proposer?.branchId === proposerId);
    if (place >= 0) this.waiting.splice(place, 1);
    else if (this.waiting.length >= MAXIMUM_WAITING) this.waiting.shift(); // its proposer asks again
    this.waiting.push(message);
  }

  /** The branch has waited long enough: it opens a ballot, above any that it has opened before. */
  terminate(): void {
    this.isDue = true;
  }

  /** The next task for the database. Requests come first: a higher ballot would make an own one pointless. */
  takeNext(): BallotRequestMessage | 'open' | undefined {
    const request = this.waiting.shift();
    if (request) return request;
    if (!this.isDue) return undefined;
    this.isDue = false;
    return 'open';
  }

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

  /** An answer to this branch's own ballot, from another branch or itself. */
  onAnswer(from: Acceptor, answer: BallotAnswer): BallotStep {
    const { own } = this;
    if (!own || !includesAcceptor(this.acceptors, from)) return NOTHING;
    const isNews = own.onAnswer(from.branchId, answer);
    const amnesiacs = own.amnesiacs.filter(({ branchId }) => !this.reportedAmnesiacs.has(branchId));
    for (const { branchId } of amnesiacs) this.reportedAmnesiacs.add(branchId);
    return { ...(isNews ? this.nextStep(own) : NOTHING), amnesiacs };
  }

  private nextStep(own: BallotProposer): BallotStep {
    switch (own.outcome.type) {
      case 'open':
        return this.ask(own);
      case 'decided':
        return { requests: [], decision: own.outcome.decision };
      case 'outbid':
        this.own = undefined; // the other proposer continues; if it fails, this branch becomes due again
        return NOTHING;
    }
  }

  /** Sends requests over the bus; its own acceptance goes to the database like theirs. */
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

/** The answer as a message to the proposer. */
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
