import type { NodeId, SnapshotMetadata } from '../core/types.js';
import type { StateMachine } from '../driver/ports.js';
import type { Ledger } from './ledger.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A change of one key; `operation` is unique, so that a second effect of it would show. */
export interface KeyValueCommand {
  readonly operation: number;
  readonly kind: 'write' | 'cas' | 'append';
  readonly key: string;
  readonly input: string;
  /** of a compare-and-set; null for no value */
  readonly expected: string | null;
}

export interface KeyValueResult {
  /** of a compare-and-set: whether it took place */
  readonly ok: boolean;
  /** the value afterwards */
  readonly output: string | undefined;
}

interface SnapshotContent {
  readonly values: readonly (readonly [string, string])[];
  readonly lastCommandIndex: number;
  readonly digest: number;
}

export function encodeCommand({ operation, kind, key, input, expected }: KeyValueCommand): Uint8Array {
  return encoder.encode(JSON.stringify([operation, kind, key, input, expected]));
}

function decodeCommand(data: Uint8Array): KeyValueCommand {
  const [operation, kind, key, input, expected] = JSON.parse(decoder.decode(data)) as [
    number,
    KeyValueCommand['kind'],
    string,
    string,
    string | null,
  ];
  return { operation, kind, key, input, expected };
}

/**
 * A key-value store, for one life of a node. Reports everything applied to the ledger, and compares its state, as a
 * running digest of its commands, with the ledger after each restored snapshot.
 */
export class KeyValueMachine implements StateMachine<KeyValueResult> {
  private values = new Map<string, string>();
  private lastCommandIndex = 0;
  private digest = 0;
  /** of the last entry of any kind */
  appliedIndex = 0;

  constructor(
    private readonly nodeId: NodeId,
    private readonly ledger: Ledger,
  ) {}

  get(key: string): string | undefined {
    return this.values.get(key);
  }

  apply(data: Uint8Array, index: number, term: number): KeyValueResult {
    const command = decodeCommand(data);
    this.ledger.inOrder(this.nodeId, index, this.lastCommandIndex);
    this.digest = this.ledger.applied(this.nodeId, { index, term, operation: command.operation, before: this.digest });
    this.lastCommandIndex = index;
    const { kind, key, input, expected } = command;
    const value = this.values.get(key);
    const ok = kind !== 'cas' || (value ?? null) === expected;
    if (ok) this.values.set(key, kind === 'append' ? (value ?? '') + input : input);
    return { ok, output: this.values.get(key) };
  }

  applied(index: number): void {
    this.appliedIndex = index;
  }

  takeSnapshot(): Uint8Array {
    const { lastCommandIndex, digest } = this;
    const content: SnapshotContent = { values: [...this.values], lastCommandIndex, digest };
    return encoder.encode(JSON.stringify(content));
  }

  restoreSnapshot(data: Uint8Array, metadata: SnapshotMetadata): void {
    const { values, lastCommandIndex, digest } = JSON.parse(decoder.decode(data)) as SnapshotContent;
    this.ledger.restored(this.nodeId, metadata.index, { lastCommandIndex, digest, before: this.appliedIndex });
    this.values = new Map(values);
    this.lastCommandIndex = lastCommandIndex;
    this.digest = digest;
  }
}
