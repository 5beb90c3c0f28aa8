import type { NodeId } from '@concordat/raft';
import type { Measurement } from '../closed-loop.js';

/** Of the groups of nodes under measurement; their certificates name it. */
export const CLUSTER_NAME = 'bench';

/**
 * `bare`: the bound, process 1 leads; `raft`: a node of the library, whoever is elected leads; `locks`: a node of the
 * library with the decision log and the locks of a coordinator.
 */
export type MemberKind = 'bare' | 'raft' | 'locks';

/** Of mutual TLS, in PEM. */
export interface MemberTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface MemberOptions {
  readonly kind: MemberKind;
  readonly nodeId: NodeId;
  /** of this process alone */
  readonly directory: string;
  /** on loopback, of all three, by id - 1 */
  readonly ports: readonly number[];
  readonly tls?: MemberTls;
  /** collects garbage and notes the memory after each compaction, which stops the process for a moment */
  readonly samplesMemory?: boolean;
}

export interface MemberStatus {
  /** it leads and takes commands */
  readonly leads: boolean;
  /** commands (and what else is in the log) that are applied; of the bound: durable */
  readonly appliedIndex: number;
  readonly commitIndex: number;
}

/** Memory right after the log was compacted and garbage was collected. */
export interface CompactionSample {
  readonly commands: number;
  readonly heapMiB: number;
  /** buffers outside the heap */
  readonly buffersMiB: number;
}

/** How long a load runs. */
export type LoadLength = { readonly seconds: number } | { readonly count: number };

/** What the benchmark asks of a process, by name. */
export interface Calls {
  /** answered as soon as the program runs */
  readonly hello: { readonly request: null; readonly answer: null };
  readonly start: { readonly request: MemberOptions; readonly answer: null };
  readonly status: { readonly request: null; readonly answer: MemberStatus };
  /** a closed loop of commands proposed in that process */
  readonly write: {
    readonly request: { readonly proposers: number; readonly length: LoadLength };
    readonly answer: Measurement;
  };
  /** a closed loop of linearizable reads at that process */
  readonly read: {
    readonly request: { readonly readers: number; readonly length: LoadLength };
    readonly answer: Measurement;
  };
  readonly compactions: { readonly request: null; readonly answer: readonly CompactionSample[] };
  /** SHA-256 of the state of the machine, in hexadecimal */
  readonly digest: { readonly request: null; readonly answer: string };
  readonly stop: { readonly request: null; readonly answer: null };
}

export type CallName = keyof Calls;

export type CallMessage = {
  [Name in CallName]: { readonly id: number; readonly name: Name; readonly request: Calls[Name]['request'] };
}[CallName];

/** What both kinds of process can do. */
export interface Member {
  start(): Promise<void>;
  status(): MemberStatus;
  /** Resolves when the command is committed. */
  append(command: Uint8Array): Promise<unknown>;
  /** Resolves when a linearizable read may be answered here. */
  read(): Promise<unknown>;
  compactions(): readonly CompactionSample[];
  digest(): string;
  stop(): Promise<void>;
}
