import type { CallTable } from '../called-process.js';

export interface CoordinatorOptions {
  readonly nodeId: number;
  /** of this process alone */
  readonly directory: string;
  /** on loopback, of all members, by id - 1 */
  readonly raftPorts: readonly number[];
  readonly httpPorts: readonly number[];
}

export interface CoordinatorStatus {
  /** knows a leader and consumes replies */
  readonly ready: boolean;
  readonly leads: boolean;
  readonly appliedIndex: number;
  readonly commitIndex: number;
  readonly open: number;
  readonly residentMiB: number;
  readonly heapMiB: number;
}

/** How long the event loop of a process was held up, since this was asked for the last time. */
export interface Pauses {
  readonly maximumMs: number;
  /** of the longest one, the part in which the process had a processor and computed */
  readonly busyMaximumMs: number;
  /** longest collection of garbage */
  readonly collectionMs: number;
}

export interface Opened {
  readonly count: number;
  /** of some of them */
  readonly ids: readonly string[];
}

export type CallName = 'start' | 'status' | 'open' | 'grow' | 'pauses' | 'stop';

/** What the benchmark asks of a coordinator's process, besides REST. */
export interface Calls extends CallTable<CallName> {
  readonly start: { readonly request: CoordinatorOptions; readonly answer: null };
  readonly status: { readonly request: null; readonly answer: CoordinatorStatus };
  /** opens so many transactions, on the leader; fewer when it loses the leadership on the way */
  readonly open: { readonly request: { readonly count: number }; readonly answer: Opened };
  /** makes the log longer by about so many bytes, on the leader, and leaves nothing open */
  readonly grow: { readonly request: { readonly bytes: number }; readonly answer: null };
  readonly pauses: { readonly request: null; readonly answer: Pauses };
  readonly stop: { readonly request: null; readonly answer: null };
}
