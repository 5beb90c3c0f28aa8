import { unreachable } from '@concordat/foundation';
import {
  stepAcceptor,
  type AcceptorState,
  type BallotRequestMessage,
  type BranchAddress,
  type BranchId,
  type ProtocolMessage,
  type ReplyMessage,
  type Vote,
} from '@concordat/commit-protocol';

/** Whether a branch answers a message, and how it votes. */
export interface Conduct {
  readonly vote: Vote;
  answers(message: ProtocolMessage): boolean;
}

/** Branches that keep every rule, each as far as its conduct says: what it leaves unanswered is as good as lost. */
export class HonestBranches {
  private readonly acceptors = new Map<BranchId, AcceptorState>();
  private readonly ends = new Map<BranchId, 'committed' | 'aborted'>();

  constructor(
    private readonly conductOf: (message: ProtocolMessage & BranchAddress) => Conduct,
    private readonly reply: (message: ReplyMessage) => void,
  ) {}

  receive(message: ProtocolMessage): void {
    if (!('branchId' in message)) return;
    const conduct = this.conductOf(message);
    if (!conduct.answers(message)) return;
    const { transactionId, branchId, participant } = message;
    const address = { transactionId, branchId, participant };
    switch (message.type) {
      case 'prepare':
        this.acceptors.set(branchId, this.acceptors.get(branchId) ?? newAcceptor(conduct.vote));
        return this.reply({ type: 'vote', ...address, vote: conduct.vote, results: [] });
      case 'commit-one-phase':
        this.ends.set(branchId, 'committed');
        return this.reply({ type: 'done', ...address, end: 'committed', results: [{}] });
      case 'decision': {
        const end = this.ends.get(branchId) ?? (message.decision === 'commit' ? 'committed' : 'aborted');
        this.ends.set(branchId, end);
        return this.reply({ type: 'done', ...address, end });
      }
      case 'ballot-request':
        return this.answerBallot(message, address);
      case 'undecided':
      case 'unknown-old':
        return;
      case 'ballot-answer':
      case 'branches-decided':
      case 'done':
      case 'inquiry':
      case 'ruling':
      case 'termination-due':
      case 'vote':
        throw new Error(`a coordinator sent a ${message.type}`);
      default:
        unreachable(message, 'message');
    }
  }

  private answerBallot({ branchId, request }: BallotRequestMessage, address: BranchAddress): void {
    const step = stepAcceptor(this.acceptors.get(branchId) ?? newAcceptor(undefined), request);
    if (step.type === 'refuse') return;
    if (step.type === 'answer') this.acceptors.set(branchId, step.state);
    const answer = step.type === 'answer' ? step.answer : ({ type: 'decided', decision: 'abort' } as const);
    this.reply({ type: 'ballot-answer', ...address, answer });
  }
}

function newAcceptor(vote: Vote | undefined): AcceptorState {
  return { vote, promised: undefined, accepted: undefined, decision: undefined };
}
