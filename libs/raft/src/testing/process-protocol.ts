import type { NodeId, MemberDescription } from '../core/types.js';
import type { RaftStatus } from '../driver/raft-node.types.js';
import type { OperationAnswer, OperationCall } from './history.js';

/** What a node process is told first, as one line of JSON on its standard input. */
export interface NodeProcessSettings {
  readonly nodeId: NodeId;
  readonly members: readonly MemberDescription[];
  readonly directory: string;
  readonly clusterName: string;
  /** PEM */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly snapshotAfterEntries: number;
}

/** A line on the standard input of a node process. Its end ends the process. */
export type NodeProcessRequest =
  | { readonly type: 'operation'; readonly id: number; readonly call: OperationCall }
  | { readonly type: 'state'; readonly id: number }
  | { readonly type: 'stop' };

/** Everything that a node has applied, in short: equal digests mean equal logs up to that index. */
export interface AppliedState {
  readonly appliedIndex: number;
  readonly digest: string;
}

/**
 * A line on the standard output of a node process. An operation that ends as `unknown` has no answer of its own:
 * its fate is open. `checkpoint` comes for some indices, the same ones on every node.
 */
export type NodeProcessReport =
  | { readonly type: 'started' }
  | { readonly type: 'status'; readonly status: RaftStatus }
  | ({ readonly type: 'checkpoint' } & AppliedState)
  | { readonly type: 'returned'; readonly id: number; readonly answer: OperationAnswer }
  | { readonly type: 'refused'; readonly id: number; readonly leaderId: NodeId | undefined }
  | { readonly type: 'state'; readonly id: number; readonly state: AppliedState; readonly status: RaftStatus };
