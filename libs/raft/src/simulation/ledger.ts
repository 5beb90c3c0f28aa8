import type { NodeId } from '../core/types.js';
import { Violation } from './violation.js';

interface AppliedCommand {
  readonly index: number;
  readonly term: number;
  readonly operation: number;
  /** digest of everything before */
  readonly before: number;
}

interface KnownCommand {
  readonly term: number;
  readonly operation: number;
  readonly digest: number;
}

/** The one history of commands that all nodes and all clients must agree with. */
export class Ledger {
  private readonly commands = new Map<number, KnownCommand>();
  private readonly indexOfOperation = new Map<number, number>();
  private readonly refusedOperations = new Set<number>();
  /** indexes of commands, ascending */
  private readonly indexes: number[] = [];
  /** the greatest index of an answer; a later read must see it */
  acknowledgedIndex = 0;

  get commandCount(): number {
    return this.indexes.length;
  }

  /** Each machine applies each index once, in order. */
  inOrder(nodeId: NodeId, index: number, previousIndex: number): void {
    if (index <= previousIndex)
      throw new Violation('state machine safety', `node ${nodeId} applied ${index} after ${previousIndex}`);
  }

  /** @returns the digest of everything up to this command */
  applied(nodeId: NodeId, { index, term, operation, before }: AppliedCommand): number {
    const digest = Math.imul(Math.imul(before ^ index, 0x01000193) ^ term, 0x01000193) ^ operation;
    const known = this.commands.get(index);
    if (known) {
      if (known.term !== term || known.operation !== operation || known.digest !== digest)
        throw new Violation(
          'state machine safety',
          `node ${nodeId} applied operation ${operation} of term ${term} at ${index}, or something else before it; ` +
            `another applied operation ${known.operation} of term ${known.term}`,
        );
      return digest;
    }
    const elsewhere = this.indexOfOperation.get(operation);
    if (elsewhere !== undefined)
      throw new Violation('answers', `operation ${operation} has effect twice, at ${elsewhere} and ${index}`);
    if (this.refusedOperations.has(operation))
      throw new Violation('answers', `operation ${operation} was refused for good, but applied at ${index}`);
    this.commands.set(index, { term, operation, digest });
    this.indexOfOperation.set(operation, index);
    if (index > (this.indexes.at(-1) ?? 0)) this.indexes.push(index);
    else throw new Violation('state machine safety', `${index} was passed over, and applied later by node ${nodeId}`);
    return digest;
  }

  /** A snapshot has replaced the state of a node's machine, which stood at `before`. */
  restored(
    nodeId: NodeId,
    snapshotIndex: number,
    state: { readonly lastCommandIndex: number; readonly digest: number; readonly before: number },
  ): void {
    if (snapshotIndex < state.before)
      throw new Violation('state machine safety', `node ${nodeId} went from ${state.before} back to ${snapshotIndex}`);
    const lastCommandIndex = this.indexes.findLast((index) => index <= snapshotIndex) ?? 0;
    const digest = this.commands.get(lastCommandIndex)?.digest ?? 0;
    if (state.lastCommandIndex !== lastCommandIndex || state.digest !== digest)
      throw new Violation(
        'state machine safety',
        `node ${nodeId} restored a snapshot of ${snapshotIndex} that ends with the command at ` +
          `${state.lastCommandIndex}, not with that at ${lastCommandIndex}, or has other commands`,
      );
  }

  /** A client's operation was answered as committed at that index. */
  acknowledged(operation: number, index: number): void {
    if (this.indexOfOperation.get(operation) !== index)
      throw new Violation('answers', `operation ${operation} was answered with index ${index}, where it is not`);
    this.acknowledgedIndex = Math.max(this.acknowledgedIndex, index);
  }

  /** A client's operation was answered as never in the log, now or later. */
  refused(operation: number): void {
    const index = this.indexOfOperation.get(operation);
    if (index !== undefined)
      throw new Violation('answers', `operation ${operation} was refused for good, but stands at ${index}`);
    this.refusedOperations.add(operation);
  }
}
