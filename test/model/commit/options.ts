import {
  CoordinatorTransaction,
  DecisionState,
  type Acceptor,
  type BranchAddress,
  type Protocol,
  type Vote,
} from '@concordat/commit-protocol';
import { PlainEndedTransactions } from '@concordat/commit-protocol/testing';
import { AcceptorDatabase } from './acceptor-database.js';
import { BranchDatabase } from './branch-database.js';
import { BranchProcess } from './branch-process.js';
import { CoordinatorNode, LogReplica, type TransactionFactory } from './coordinator-node.js';

/** How often each thing may happen on the way from the start to any state; `Infinity` for no bound. */
export interface Bounds {
  /** the leader dies and another one is elected */
  readonly leaderDeaths: number;
  /** another leader is elected while the one before lives on and does not know it */
  readonly depositions: number;
  readonly participantCrashes: number;
  /** the connection of a database operation breaks, so that its end is unknown */
  readonly brokenConnections: number;
  /** the log certainly does not take a proposal, and says so */
  readonly failedProposals: number;
  /** a message is delivered and stays on its way */
  readonly duplicates: number;
  readonly resends: number;
  readonly inquiries: number;
  /** the deadline of the transaction passes */
  readonly deadlines: number;
  /** in three phases: a branch has waited too long and opens a ballot */
  readonly terminations: number;
  /** an operator ends a prepared branch in its database */
  readonly endingsByHand: number;
  /** a database loses everything that it had of the branch, as in a fail-over to an asynchronous standby */
  readonly amnesias: number;
}

export const BOUND_NAMES = [
  'leaderDeaths',
  'depositions',
  'participantCrashes',
  'brokenConnections',
  'failedProposals',
  'duplicates',
  'resends',
  'inquiries',
  'deadlines',
  'terminations',
  'endingsByHand',
  'amnesias',
] as const satisfies readonly (keyof Bounds)[];

/**
 * One of everything, and nothing by hand. Loss needs no bound: a message that is never delivered is lost, and the
 * check that the system heals from a state begins with the loss of all that is on its way.
 */
export const DEFAULT_BOUNDS: Bounds = {
  leaderDeaths: 1,
  depositions: 1,
  participantCrashes: 1,
  brokenConnections: 1,
  failedProposals: 1,
  duplicates: 1,
  resends: 1,
  inquiries: 1,
  deadlines: 1,
  terminations: 1,
  endingsByHand: 0,
  amnesias: 0,
};

/** What handlers may come to. */
export const INCLINATIONS: readonly Vote[] = ['yes', 'no', 'read-only'];

/** Nothing goes wrong but that messages are lost or late, and the deadline passes. */
export const NO_FAULTS: Bounds = {
  leaderDeaths: 0,
  depositions: 0,
  participantCrashes: 0,
  brokenConnections: 0,
  failedProposals: 0,
  duplicates: 0,
  resends: 0,
  inquiries: 0,
  deadlines: 1,
  terminations: 0,
  endingsByHand: 0,
  amnesias: 0,
};

/** Of what the world is built; the tests of the explorer replace a part by one with a mistake. */
export interface Parts {
  readonly createTransaction: TransactionFactory;
  readonly createLog: () => LogReplica;
  readonly createNode: (log: LogReplica, term: number, transactionId: string, parts: Parts) => CoordinatorNode;
  readonly createProcess: (address: BranchAddress) => BranchProcess;
  /** @param place of the branch among the acceptors, from 0 */
  readonly createDatabase: (place: number, acceptors: readonly Acceptor[]) => BranchDatabase;
}

export const REAL_PARTS: Parts = {
  createTransaction: (state, epoch, recovered) => new CoordinatorTransaction(state, epoch, recovered),
  createLog: () => new LogReplica(new DecisionState(new PlainEndedTransactions())),
  createNode: (log, term, transactionId, parts) =>
    new CoordinatorNode(log, term, transactionId, parts.createTransaction),
  createProcess: (address) => new BranchProcess(address),
  createDatabase: () => new BranchDatabase(),
};

export const THREE_PHASE_PARTS: Parts = {
  ...REAL_PARTS,
  createDatabase: (place, acceptors) => new AcceptorDatabase(place, acceptors),
};

export function realParts(protocol: Protocol): Parts {
  return protocol === '3pc' ? THREE_PHASE_PARTS : REAL_PARTS;
}

/**
 * `begin`: nothing has happened. `voted`: all branches have voted, each what its place among the inclinations says, and
 * all votes have arrived, so that the bounds are spent on what comes then. `orphaned`: the ballot of the coordinators is
 * in the log and its requests are on their way, and no coordinator is there from then on, until all faults stop.
 */
export const STARTS = ['begin', 'voted', 'orphaned'] as const;
export type Start = (typeof STARTS)[number];

export interface CommitOptions {
  readonly protocol: Protocol;
  /** 1 to 3; a single one is asked to commit in one phase (protocol 4.7) */
  readonly branches: number;
  /** what handlers may come to, each time anew */
  readonly inclinations: readonly Vote[];
  readonly bounds: Bounds;
  /** where the exploration starts; `begin` when undefined */
  readonly start?: Start;
  /**
   * A branch carries out what it is given in the same step, so that there are fewer states for more branches. Leaves
   * out no outcome where no process dies and no connection breaks: that a message waits in a process, or on its way to
   * one, comes to the same.
   */
  readonly instantBranches?: boolean;
  /** every "done" of a branch is lost, so that all is explored up to the decision and little of what comes after it */
  readonly donesLost?: boolean;
  readonly parts: Parts;
  /** leaves out what can only be heard (section 3: a message that leaves too early), so that its consequences are found */
  readonly consequencesOnly?: boolean;
}
