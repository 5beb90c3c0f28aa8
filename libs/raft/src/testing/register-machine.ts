import { createHash } from 'node:crypto';
import { invariant } from '@concordat/foundation';
import type { StateMachine } from '../driver/ports.js';
import type { OperationAnswer, OperationCall } from './history.js';
import type { AppliedState } from './process-protocol.js';

/** a checkpoint for each command whose index is a multiple of this */
const checkpointDistance = 16;

interface MachineSnapshot {
  readonly values: readonly (readonly [string, string])[];
  readonly digest: string;
}

/** A call as a command for the log. */
export function commandOf(call: OperationCall): Uint8Array {
  invariant(call.kind !== 'read', 'a read does not go through the log');
  return Buffer.from(JSON.stringify(call));
}

/**
 * The registers of the process tests, with a digest over all commands that led to their values, in order, with
 * index and term of each: nodes that ever differed differ for ever.
 */
export class RegisterMachine implements StateMachine<OperationAnswer> {
  private values = new Map<string, string>();
  private digest = '';

  constructor(private readonly onCheckpoint: (state: AppliedState) => void) {}

  read(key: string): OperationAnswer {
    return { output: this.values.get(key) };
  }

  /** of everything up to `appliedIndex`, which the node knows */
  stateAt(appliedIndex: number): AppliedState {
    return { appliedIndex, digest: this.digest };
  }

  apply(command: Uint8Array, index: number, term: number): OperationAnswer {
    this.digest = createHash('sha256').update(`${this.digest} ${index} ${term} `).update(command).digest('hex');
    if (index % checkpointDistance === 0) this.onCheckpoint(this.stateAt(index));
    const call = JSON.parse(Buffer.from(command).toString()) as OperationCall;
    const before = this.values.get(call.key);
    switch (call.kind) {
      case 'read':
        return { output: before };
      case 'write':
        this.values.set(call.key, call.input);
        return {};
      case 'cas':
        if (before !== call.expected) return { ok: false };
        this.values.set(call.key, call.input);
        return { ok: true };
      case 'append': {
        const output = (before ?? '') + call.input;
        this.values.set(call.key, output);
        return { output };
      }
    }
  }

  takeSnapshot(): Uint8Array {
    const snapshot: MachineSnapshot = { values: [...this.values], digest: this.digest };
    return Buffer.from(JSON.stringify(snapshot));
  }

  restoreSnapshot(data: Uint8Array): void {
    const snapshot = JSON.parse(Buffer.from(data).toString()) as MachineSnapshot;
    this.values = new Map(snapshot.values);
    this.digest = snapshot.digest;
  }
}
