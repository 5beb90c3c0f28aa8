import type { StateMachine } from '@concordat/raft';

/** What goes through the log. */
export type Command =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string };

export function encodeCommand(command: Command): Uint8Array {
  return Buffer.from(JSON.stringify(command));
}

/**
 * The store itself: every node has one, and as all of them apply the same commands in the same order, all of them
 * hold the same. That is why nothing in here looks at a clock, a random number or a file.
 */
export class KeyValueMachine implements StateMachine<string | undefined> {
  private entries = new Map<string, string>();

  /** Reads this node's copy; what it is worth depends on `readIndex` having been asked before. */
  get(key: string): string | undefined {
    return this.entries.get(key);
  }

  /** @returns the value that was there before, for whoever proposed the command */
  apply(command: Uint8Array): string | undefined {
    const parsed = JSON.parse(Buffer.from(command).toString()) as Command;
    const before = this.entries.get(parsed.key);
    if (parsed.type === 'put') this.entries.set(parsed.key, parsed.value);
    else this.entries.delete(parsed.key);
    return before;
  }

  takeSnapshot(): Uint8Array {
    return Buffer.from(JSON.stringify([...this.entries]));
  }

  restoreSnapshot(data: Uint8Array): void {
    this.entries = new Map(JSON.parse(Buffer.from(data).toString()) as [string, string][]);
  }
}
