import { fitText, jsonSizeBound, uuidV7Time, type Clock, type UuidV7Generator } from '@concordat/foundation';
import {
  countOperations,
  delegate,
  findBranch,
  type BeginRecord,
  type BranchSpecification,
  type BranchState,
  type EnlistRecord,
  type TransactionId,
  type TransactionState,
} from '@concordat/commit-protocol';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import {
  NotAddressableError,
  PayloadTooLargeError,
  TooManyBranchesError,
  UnknownOperationError,
  UnknownParticipantError,
} from '../errors.js';
import type { TransactionOptions } from '../options.js';
import type {
  BeginRequest,
  BranchRequest,
  EnlistRequest,
  ExecuteRequest,
  Idempotency,
  NamedBranchRequest,
} from '../transactions.api.js';

import { repeatedBranch } from './request-refusals.js';

/** For a list of operations in an error text, in UTF-16 units. */
const MAXIMUM_LISTED_LENGTH = 1_000;

export interface RequestRecordsDependencies {
  readonly log: DecisionLog;
  readonly clock: Clock;
  readonly ids: UuidV7Generator;
  readonly options: TransactionOptions;
  /** whether a process of a participant can be addressed */
  readonly canAddress: () => boolean;
}

/**
 * Makes records from requests. Refuses what can never be logged: unknown participants and operations, too many
 * branches, too large payloads. Has no state of its own.
 */
export class RequestRecords {
  constructor(private readonly dependencies: RequestRecordsDependencies) {}

  /** Begins a transaction to which branches can be added. */
  begin(request: BeginRequest): BeginRecord {
    return this.record(request, [], false, request.id);
  }

  /**
   * Begins a transaction whose branches are all there, and whose commit is requested.
   *
   * @throws TooManyBranchesError
   */
  complete(request: BeginRequest, transactionId: TransactionId, requests: readonly NamedBranchRequest[]): BeginRecord {
    const byId = new Map(requests.map((one) => [one.branchId, namedBranch(one)]));
    this.refuseTooMany(byId.size, 0);
    return this.record(request, [...byId.values()], true, transactionId);
  }

  /** @throws UnknownParticipantError, UnknownOperationError, TooManyBranchesError, PayloadTooLargeError */
  execute(request: ExecuteRequest): BeginRecord {
    const branches = this.groupByParticipant(request.branches);
    this.refuseTooMany(branches.length, request.branches.length);
    this.refuseTooLarge(branches);
    return this.record(request, branches, true);
  }

  /** @throws TooManyBranchesError, PayloadTooLargeError */
  enlist(transaction: TransactionState, request: EnlistRequest, idempotency: Idempotency | undefined): EnlistRecord {
    const branch = this.toBranch(transaction, request);
    const branchCount = transaction.branches.length + (findBranch(transaction, branch.branchId) ? 0 : 1);
    this.refuseTooMany(branchCount, countOperations(transaction) + branch.operations.length);
    if (branch.operations.length > 0) this.refuseTooLarge([...transaction.branches, branch]);
    return {
      type: 'enlist',
      transactionId: transaction.transactionId,
      branch,
      at: this.dependencies.clock.now(),
      ...(idempotency && { idempotency }),
    };
  }

  /**
   * For those branches that a request to commit or abort names, and the transaction does not have.
   *
   * @throws BranchConflictError, TooManyBranchesError
   */
  enlistAll(transaction: TransactionState, requests: readonly NamedBranchRequest[]): EnlistRecord[] {
    const missing = requests.filter((request) => repeatedBranch(transaction, request) === undefined);
    const byId = new Map(missing.map((request) => [request.branchId, request]));
    this.refuseTooMany(transaction.branches.length + byId.size, countOperations(transaction));
    return [...byId.values()].map((request) => this.enlist(transaction, request, undefined));
  }

  /** @throws UnknownParticipantError, UnknownOperationError, NotAddressableError */
  refuseUnusable(request: EnlistRequest): void {
    this.refuseUnknown(request);
    if (!('instance' in request) || this.dependencies.canAddress()) return;
    const { participant, instance } = request;
    throw new NotAddressableError(
      `the coordinators reach ${participant} over Kafka alone, so they cannot ask its process "${instance}" to prepare; ` +
        'prepare the branch there, and enlist it with its "vote", or run with CONCORDAT_LINK=both',
    );
  }

  /** @throws UnknownParticipantError, UnknownOperationError */
  refuseUnknown(request: EnlistRequest): void {
    const operations = this.operationsOf(request.participant);
    if (!('operation' in request) || operations.has(request.operation)) return;
    const known = fitText([...operations].sort().join(', '), MAXIMUM_LISTED_LENGTH);
    throw new UnknownOperationError(
      `participant ${request.participant} has no operation "${request.operation}" that all of its live processes serve; they serve: ${known}`,
    );
  }

  private operationsOf(name: string): ReadonlySet<string> {
    const participant = this.dependencies.log.state.participant(name);
    if (participant) return participant.operations;
    throw new UnknownParticipantError(
      `no participant "${name}" has announced itself; check the name, and that the service runs and reaches the coordinators (its log and its health say so)`,
    );
  }

  private record(
    request: BeginRequest,
    branches: readonly BranchSpecification[],
    closed: boolean,
    transactionId = this.dependencies.ids.next(),
  ): BeginRecord {
    const { clock } = this.dependencies;
    const at = Math.max(clock.now(), uuidV7Time(transactionId) ?? 0); // an id is never older than log time
    const delegateTo = closed ? delegate(branches) : undefined;
    return {
      type: 'begin',
      transactionId,
      protocol: request.protocol,
      branches,
      closed,
      at,
      deadline: at + request.timeoutMs,
      metadata: request.metadata,
      ...(request.owner !== undefined && { owner: request.owner }),
      ...(request.invitation !== undefined && { invitation: request.invitation }),
      ...(delegateTo !== undefined && { delegateTo }),
      ...(request.traceparent !== undefined && { traceparent: request.traceparent }),
      ...(request.idempotency && { idempotency: request.idempotency }),
    };
  }

  /** Work for a participant that has a branch joins that branch. */
  private toBranch(transaction: TransactionState, request: EnlistRequest): BranchSpecification {
    if ('branchId' in request) return namedBranch(request);
    const { participant, operation, payload, keys = [] } = request;
    const own = transaction.branches.find(takesOperationsOf(participant));
    const branchId = own?.branchId ?? this.dependencies.ids.next();
    return { branchId, participant, operations: [{ operation, payload, keys }] };
  }

  /** One branch for each participant, with its operations in the order of the request. */
  private groupByParticipant(requests: readonly BranchRequest[]): BranchSpecification[] {
    const byParticipant = new Map<
      string,
      { branchId: string; operations: BranchSpecification['operations'][number][] }
    >();
    for (const { participant, operation, payload, keys = [] } of requests) {
      const branch = byParticipant.get(participant) ?? { branchId: this.dependencies.ids.next(), operations: [] };
      branch.operations.push({ operation, payload, keys });
      byParticipant.set(participant, branch);
    }
    return [...byParticipant].map(([participant, branch]) => ({ participant, ...branch }));
  }

  private refuseTooMany(branchCount: number, operationCount: number): void {
    const { maximumBranches, maximumOperations } = this.dependencies.options;
    if (branchCount > maximumBranches) {
      throw new TooManyBranchesError(`a transaction has at most ${maximumBranches} branches`);
    }
    if (operationCount > maximumOperations) {
      throw new TooManyBranchesError(`a transaction has at most ${maximumOperations} operations`);
    }
  }

  private refuseTooLarge(branches: readonly Pick<BranchSpecification, 'operations'>[]): void {
    const { maximumOperationsBytes } = this.dependencies.options;
    let bound = 0;
    for (const { operations } of branches) bound += jsonSizeBound(operations);
    if (bound <= maximumOperationsBytes) return;
    let sizeBytes = 0;
    for (const { operations } of branches) sizeBytes += Buffer.byteLength(JSON.stringify(operations));
    if (sizeBytes <= maximumOperationsBytes) return;
    throw new PayloadTooLargeError(
      `the operations of the transaction have ${sizeBytes} bytes of JSON together; at most ${maximumOperationsBytes} are allowed`,
      { details: { limit: maximumOperationsBytes } },
    );
  }
}

function namedBranch(request: NamedBranchRequest): BranchSpecification {
  const { branchId, participant } = request;
  const means = 'vote' in request ? { enlistedVote: request.vote } : { heldBy: request.instance };
  return { branchId, participant, operations: [], ...means };
}

/** Whether operations for the participant join a branch: not one that its service prepared, or does by itself. */
function takesOperationsOf(participant: string): (branch: BranchState) => boolean {
  return (branch) => branch.participant === participant && !branch.selfPrepared && branch.heldBy === undefined;
}
