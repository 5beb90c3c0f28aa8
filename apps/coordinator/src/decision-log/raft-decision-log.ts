import { CodedError, invariant } from '@concordat/foundation';
import { DecisionState, type ApplyResult, type LeaderEpoch, type LogRecord } from '@concordat/commit-protocol';
import type { RaftNodeApi, RaftStatus, SnapshotPieces, StateMachine } from '@concordat/raft';
import {
  LogUnavailableError,
  type AppliedRecord,
  type DecisionLog,
  type Leadership,
  type LeadershipListener,
} from './decision-log.js';
import type { CompressedEndedTransactions } from './ended-archive.js';
import { logError } from './raft-errors.js';
import { decodeRecord, encodeRecord } from './record-codec.js';
import { decodeSnapshot, encodeSnapshot } from './snapshot-codec.js';

/**
 * The decision log on Raft: turns records into commands and applies committed ones to the `DecisionState`.
 *
 * It is built before its node, because the node needs the state machine; `attach` connects the two.
 */
export class RaftDecisionLog implements DecisionLog {
  readonly state: DecisionState;
  /** used by the Raft node only */
  readonly stateMachine: StateMachine<ApplyResult>;
  private readonly applyListeners = new Set<(applied: AppliedRecord) => void>();
  private readonly leadershipListeners = new Set<LeadershipListener>();
  /** records this node proposed, by command: Raft hands out the same array, so they need no decoding */
  private readonly proposed = new WeakMap<Uint8Array, LogRecord>();
  private node: RaftNodeApi<ApplyResult> | undefined;
  private current: Leadership = { epoch: undefined, leaderId: undefined };
  private lastApplied = 0;

  constructor(private readonly archive: CompressedEndedTransactions) {
    this.state = new DecisionState(archive);
    this.stateMachine = {
      apply: (command, index) => this.apply(command, index),
      applied: (index) => {
        this.lastApplied = index;
      },
      takeSnapshot: () => this.takeSnapshot(),
      restoreSnapshot: (data, { index }) => this.restore(data, index),
    };
  }

  /** The node must have been made with this log's `stateMachine`. */
  attach(node: RaftNodeApi<ApplyResult>): void {
    this.node = node;
    node.onStatusChange((status) => this.onStatus(status));
    this.onStatus(node.status());
  }

  get appliedIndex(): number {
    return this.lastApplied;
  }

  leadership(): Leadership {
    return this.current;
  }

  async append(record: LogRecord): Promise<ApplyResult> {
    if (!this.node || !this.current.epoch) throw new LogUnavailableError('no-leader', 'this node does not lead');
    const command = encodeRecord(record);
    this.proposed.set(command, record);
    try {
      const { result } = await this.node.propose(command);
      return result;
    } catch (error) {
      throw logError(error);
    }
  }

  async confirmLeadership(): Promise<void> {
    if (!this.node || !this.current.epoch) throw new LogUnavailableError('no-leader', 'this node does not lead');
    try {
      await this.node.confirmLeadership();
    } catch (cause) {
      throw new LogUnavailableError('no-leader', 'this node could not confirm that it leads', { cause });
    }
  }

  async readBarrier(): Promise<void> {
    if (!this.node) throw new LogUnavailableError('no-leader', 'this node has not started yet');
    try {
      const index = await this.node.readIndex();
      invariant(index <= this.lastApplied, 'a read is confirmed only when its index is applied');
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      throw new LogUnavailableError('no-leader', 'no leader answered', { cause: error });
    }
  }

  async caughtUp(): Promise<void> {
    await this.node?.caughtUp();
  }

  applyPromptly(): () => void {
    return this.node?.applyPromptly() ?? (() => undefined);
  }

  onApplied(listener: (applied: AppliedRecord) => void): () => void {
    this.applyListeners.add(listener);
    return () => this.applyListeners.delete(listener);
  }

  onLeadership(listener: LeadershipListener): () => void {
    this.leadershipListeners.add(listener);
    return () => this.leadershipListeners.delete(listener);
  }

  private apply(command: Uint8Array, index: number): ApplyResult {
    const record = this.proposed.get(command) ?? decodeRecord(command);
    invariant(index > this.lastApplied, 'records are applied once, in the order of the log');
    const result = this.state.apply(record, index);
    this.lastApplied = index;
    for (const listener of this.applyListeners) listener({ index, record, result });
    return result;
  }

  /** Freezes the state, which is short; the pieces are encoded later, beside other work. */
  private takeSnapshot(): SnapshotPieces {
    const frozen = this.state.freeze(this.lastApplied);
    const archive = this.archive.takeSnapshot();
    return {
      [Symbol.iterator]: () => encodeSnapshot(frozen, archive),
      release: () => frozen.release(),
    };
  }

  /** Builds the new state in many steps beside the old one. The last step replaces it. */
  private *restore(data: Uint8Array, index: number): Generator<void, void> {
    const { state, archive } = yield* decodeSnapshot(data);
    yield* this.archive.restoreSnapshot(archive);
    this.state.restoreSnapshot(state);
    this.lastApplied = index;
    this.tell(index);
  }

  /** A node leads once its own no-op is applied (protocol 4.1); each term is a new leadership. */
  private onStatus({ leaderReady, term, leaderId, appliedIndex }: RaftStatus): void {
    const before = this.current;
    const same = leaderReady ? before.epoch?.term === term : before.epoch === undefined;
    if (same && before.leaderId === leaderId) return;
    const epoch: LeaderEpoch | undefined = leaderReady
      ? same
        ? before.epoch
        : { term, index: appliedIndex }
      : undefined;
    this.current = { epoch, leaderId };
    if (!same || leaderId !== before.leaderId) this.tell();
  }

  private tell(replacedThrough?: number): void {
    for (const listener of this.leadershipListeners) listener(this.current, replacedThrough);
  }
}
