import { sleep, type Clock, type JsonValue } from '@concordat/foundation';
import { BranchRefusedError } from '@concordat/participant';

/** What a handler of a stand-in works with: values by key, inside the branch's local transaction. */
export interface MemoryContext {
  /** Waits while another branch has touched the key, like `SELECT … FOR UPDATE`. Undefined: there is none. */
  get(key: string): Promise<JsonValue | undefined>;
  set(key: string, value: JsonValue): Promise<void>;
  delete(key: string): Promise<void>;
}

/** Between two looks at a key that another branch holds. */
const LOCK_POLL_MS = 2;

/** Committed values, and which branch holds which key until it ends. */
export class MemoryData {
  private readonly values = new Map<string, JsonValue>();
  private readonly holders = new Map<string, string>();

  get(key: string): JsonValue | undefined {
    return this.values.get(key);
  }

  set(key: string, value: JsonValue): void {
    this.values.set(key, copy(value));
  }

  entries(): Readonly<Record<string, JsonValue>> {
    return Object.fromEntries(this.values);
  }

  /** Takes a key, unless another branch has it. */
  take(key: string, branchId: string): boolean {
    const holder = this.holders.get(key);
    if (holder !== undefined && holder !== branchId) return false;
    this.holders.set(key, branchId);
    return true;
  }

  /** The branch has ended: its changes are there, if it committed, and its keys are free. */
  end(branchId: string, changes: ReadonlyMap<string, JsonValue | undefined> = new Map()): void {
    for (const [key, value] of changes) {
      if (value === undefined) this.values.delete(key);
      else this.values.set(key, value);
    }
    for (const [key, holder] of this.holders) if (holder === branchId) this.holders.delete(key);
  }
}

/** The local transaction of one branch: its changes are its own until it commits. */
export class MemoryTransaction implements MemoryContext {
  readonly changes = new Map<string, JsonValue | undefined>();
  private closed = false;

  /** @param deadline by the monotonic clock */
  constructor(
    private readonly data: MemoryData,
    private readonly branchId: string,
    private readonly clock: Clock,
    private readonly deadline: number,
  ) {}

  async get(key: string): Promise<JsonValue | undefined> {
    await this.lock(key);
    const value = this.changes.has(key) ? this.changes.get(key) : this.data.get(key);
    return value === undefined ? undefined : copy(value);
  }

  async set(key: string, value: JsonValue): Promise<void> {
    const own = copy(value);
    await this.lock(key);
    this.changes.set(key, own);
  }

  async delete(key: string): Promise<void> {
    await this.lock(key);
    this.changes.set(key, undefined);
  }

  /** Nothing more is read or changed: the branch votes, or has failed. */
  close(): void {
    this.closed = true;
  }

  private async lock(key: string): Promise<void> {
    for (;;) {
      if (this.closed) {
        throw new BranchRefusedError(
          'BRANCH_ENDED',
          'the branch has ended, and the handler still works: await all that it does',
        );
      }
      if (this.data.take(key, this.branchId)) return;
      if (this.clock.monotonic() >= this.deadline) {
        throw new BranchRefusedError('LOCK_TIMEOUT', `another branch held "${key}" up to the deadline`);
      }
      await sleep(this.clock, LOCK_POLL_MS);
    }
  }
}

/** @throws for what is no JSON */
function copy(value: JsonValue): JsonValue {
  return structuredClone(value);
}
