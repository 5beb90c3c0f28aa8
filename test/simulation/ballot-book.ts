import {
  compareBallots,
  majorityOf,
  type Ballot,
  type Decision,
  type ProtocolMessage,
  type TransactionState,
} from '@concordat/commit-protocol';
import type { AcceptorRow } from '../support/modelled-database/database-rows.js';

interface KnownBallots {
  /** its branches */
  readonly acceptors: readonly string[];
  /** acceptors that have accepted, by ballot */
  readonly accepted: { readonly ballot: Ballot; readonly value: Decision; readonly by: Set<string> }[];
  chosen?: Decision;
  /** the log has the decision, or a branch was told: it stands, whatever databases lose */
  isKnown?: true;
}

type BallotRequestMessage = Extract<ProtocolMessage, { type: 'ballot-request' }>;

/**
 * The checker's own account of three phases (protocol section 6): what acceptors have made durable, and what follows
 * from it, whatever anybody says. A value is chosen when a majority has accepted it in one ballot, and by nothing else.
 */
export class BallotBook {
  readonly counts = { byCoordinators: 0, byBranches: 0, terminations: 0 };
  private readonly transactions = new Map<string, KnownBallots>();
  private readonly tombstones = new Set<string>();
  private readonly rows = new Map<string, AcceptorRow>();
  /** rounds of the coordinators in the log, by transaction */
  private readonly logged = new Map<string, Set<number>>();
  /** the term in which a round was used first */
  private readonly usedIn = new Map<string, number>();

  constructor(private readonly violate: (rule: string) => void) {}

  /** What the branches have decided, as far as their databases tell. */
  chosen(transactionId: string): Decision | undefined {
    return this.transactions.get(transactionId)?.chosen;
  }

  isOpen(transactionId: string): boolean {
    return this.logged.has(transactionId);
  }

  voteOf(branchId: string): AcceptorRow['vote'] | undefined {
    return this.rows.get(branchId)?.vote;
  }

  saved(branchId: string, row: AcceptorRow): void {
    const before = this.rows.get(branchId);
    this.rows.set(branchId, row);
    if (before && before.vote !== row.vote)
      this.violate(`the acceptor ${branchId} voted ${before.vote}, then ${row.vote}`);
    if (before?.promised && (!row.promised || compareBallots(row.promised, before.promised) < 0))
      this.violate(`the acceptor ${branchId} goes back on its promise`);
    const { accepted } = row;
    if (!accepted || before?.accepted?.ballot === accepted.ballot) return;
    const known = this.known(
      row.transactionId,
      row.acceptors.map((acceptor) => acceptor.branchId),
    );
    let entry = known.accepted.find(({ ballot }) => compareBallots(ballot, accepted.ballot) === 0);
    if (!entry) known.accepted.push((entry = { ...accepted, by: new Set() }));
    if (entry.value !== accepted.value) this.violate(`two values in one ballot of ${row.transactionId}`);
    entry.by.add(branchId);
    if (entry.by.size >= majorityOf(row.acceptors.length))
      this.choose(row.transactionId, entry.value, `a majority accepts in round ${accepted.ballot.round}`);
  }

  /** The database has an older row now, or none. What was accepted was accepted all the same, and counts. */
  lost(branchId: string, row: AcceptorRow | undefined): void {
    if (row) this.rows.set(branchId, row);
    else this.rows.delete(branchId);
  }

  /**
   * An operator ends the abstention of databases when everything is up and nobody knows of a decision (operations.md).
   * From then on, what no majority remembers was never chosen.
   */
  abstentionEnded(): void {
    for (const known of this.transactions.values()) {
      const { acceptors, accepted, chosen, isKnown } = known;
      if (chosen === undefined || isKnown) continue;
      const remembering = acceptors.filter((branchId) => this.rows.get(branchId)?.accepted?.value === chosen);
      if (remembering.length >= majorityOf(acceptors.length)) continue;
      delete known.chosen;
      for (const { by } of accepted)
        for (const branchId of by) if (!remembering.includes(branchId)) by.delete(branchId);
    }
  }

  /** A coordinator asks acceptors: in a ballot that is in the log, and that nobody has used in another term. */
  asked(nodeId: number, term: number, { transactionId, request }: BallotRequestMessage): void {
    const { round } = request.ballot;
    if (!this.logged.get(transactionId)?.has(round))
      this.violate(`node ${nodeId} opens round ${round} of ${transactionId} before the log does`);
    const first = this.usedIn.get(`${transactionId} ${round}`);
    if (first === undefined) this.usedIn.set(`${transactionId} ${round}`, term);
    else if (first !== term)
      this.violate(`leaders of terms ${first} and ${term} share round ${round} of ${transactionId}`);
  }

  preCommitted({ transactionId, preCommit }: TransactionState): void {
    if (!preCommit) return;
    const rounds = this.logged.get(transactionId) ?? new Set();
    this.logged.set(transactionId, rounds.add(preCommit.round));
  }

  /** The log has a decision about a transaction with a ballot. */
  logs(transactionId: string, decision: Decision, basis: 'ballot' | 'branches' | undefined): void {
    if (basis === 'branches') this.counts.byBranches++;
    if (basis === 'ballot') this.counts.byCoordinators++;
    const chosen = this.chosen(transactionId);
    if (this.isOpen(transactionId) && chosen !== decision)
      this.violate(`AC1: the log says ${decision} of ${transactionId}, its branches have chosen ${chosen}`);
    this.choose(transactionId, decision, 'the log decides');
    this.known(transactionId).isKnown = true;
  }

  /** A branch has the tombstone of one that was told the decision. */
  toldToAbort(transactionId: string): void {
    this.tombstones.add(transactionId);
  }

  /** A branch tells others what was decided. */
  told(message: Extract<ProtocolMessage, { type: 'decision' | 'branches-decided' }>): void {
    if (message.type === 'branches-decided') this.counts.terminations++;
    const { transactionId, decision } = message;
    const chosen = this.chosen(transactionId);
    const follows =
      chosen === decision || (chosen === undefined && decision === 'abort' && this.tombstones.has(transactionId));
    this.known(transactionId).isKnown = true;
    if (!follows)
      this.violate(`${message.participant} hears ${message.decision} of ${message.transactionId}; chosen: ${chosen}`);
  }

  private choose(transactionId: string, value: Decision, how: string): void {
    const known = this.known(transactionId);
    if (known.chosen && known.chosen !== value)
      this.violate(`AC1: ${transactionId} has chosen ${known.chosen}, and then ${value}: ${how}`);
    known.chosen ??= value;
  }

  private known(transactionId: string, acceptors: readonly string[] = []): KnownBallots {
    let known = this.transactions.get(transactionId);
    if (!known) this.transactions.set(transactionId, (known = { acceptors, accepted: [] }));
    return known;
  }
}
