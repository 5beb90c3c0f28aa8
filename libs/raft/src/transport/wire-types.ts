import protobuf from 'protobufjs';
import { raftProto } from './raft-proto.js';

const { root } = protobuf.parse(raftProto);

export const frameType = root.lookupType('concordat.raft.v1.Frame');
export const echoType = root.lookupType('concordat.raft.v1.Echo');

/** Protobuf's 64-bit integers arrive as pairs of 32-bit halves, small ones as numbers where `long` is not there. */
export type WireInteger = { readonly low: number; readonly high: number } | number;

/** An absent field of bytes is an empty array. */
export type WireBytes = Uint8Array | readonly number[];

export interface WireLogPosition {
  readonly lastLogIndex: WireInteger;
  readonly lastLogTerm: WireInteger;
}

export interface WireEntry {
  readonly term: WireInteger;
  readonly kind: number;
  readonly data: WireBytes;
}

export interface WireAppendEntries {
  readonly previousIndex: WireInteger;
  readonly previousTerm: WireInteger;
  readonly entries: readonly WireEntry[];
  readonly commitIndex: WireInteger;
  readonly round: WireInteger;
}

export interface WireSnapshotChunk {
  readonly index: WireInteger;
  readonly term: WireInteger;
  readonly configuration: WireBytes;
  readonly sizeBytes: WireInteger;
  readonly checksum: number;
  readonly offset: WireInteger;
  readonly data: WireBytes;
}

/** A decoded envelope: protobufjs gives absent fields their defaults and leaves absent messages null. */
export interface WireEnvelope {
  readonly from: WireInteger;
  readonly to: WireInteger;
  readonly term: WireInteger;
  readonly requestPreVote?: WireLogPosition | null;
  readonly preVoteReply?: { readonly granted: boolean } | null;
  readonly requestVote?: (WireLogPosition & { readonly transfer: boolean }) | null;
  readonly requestVoteReply?: { readonly granted: boolean } | null;
  readonly appendEntries?: WireAppendEntries | null;
  readonly appendEntriesAccepted?: { readonly matchIndex: WireInteger; readonly round: WireInteger } | null;
  readonly appendEntriesRefused?: {
    readonly previousIndex: WireInteger;
    readonly hintIndex: WireInteger;
    readonly hintTerm: WireInteger;
    readonly round: WireInteger;
  } | null;
  readonly snapshotChunk?: WireSnapshotChunk | null;
  readonly snapshotChunkReply?: {
    readonly snapshotIndex: WireInteger;
    readonly snapshotTerm: WireInteger;
    readonly nextOffset: WireInteger;
  } | null;
  readonly timeoutNow?: object | null;
  readonly readIndexRequest?: { readonly requestId: WireInteger } | null;
  readonly readIndexReply?: { readonly requestId: WireInteger; readonly index: WireInteger } | null;
}

export interface WireFrame {
  readonly messages: readonly WireEnvelope[];
  readonly ping: number;
}
