import { Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { MAX_INTEGER, type NodeId } from '../core/types.js';
import { isCallableAddress } from './peer-address.js';

/** Frames pass gRPC as bytes: they are encoded and checked by the codec, so that a bad one is ours to count. */
const asBytes = (bytes: Buffer): Buffer => bytes;

/** The service of `raft-proto.ts`, defined without generated code. */
export const exchangeMethod: MethodDefinition<Buffer, Buffer> = {
  path: '/concordat.raft.v1.RaftTransport/Exchange',
  requestStream: true,
  responseStream: true,
  requestSerialize: asBytes,
  requestDeserialize: asBytes,
  responseSerialize: asBytes,
  responseDeserialize: asBytes,
};

/** Who speaks to whom, as both sides must see it alike. */
export interface StreamIdentity {
  readonly clusterName: string;
  readonly from: NodeId;
  readonly to: NodeId;
  /** `host:port` where the caller listens, if it tells */
  readonly address?: string;
}

const clusterKey = 'concordat-cluster-bin'; // binary, because a cluster's name may hold any characters
const fromKey = 'concordat-from';
const toKey = 'concordat-to';
const addressKey = 'concordat-address-bin';

export function identityMetadata(identity: StreamIdentity): Metadata {
  const metadata = new Metadata();
  metadata.set(clusterKey, Buffer.from(identity.clusterName, 'utf8'));
  metadata.set(fromKey, String(identity.from));
  metadata.set(toKey, String(identity.to));
  if (identity.address !== undefined) metadata.set(addressKey, Buffer.from(identity.address, 'utf8'));
  return metadata;
}

/**
 * The identity a caller claims; undefined when it names none, as a stranger's would. An address that is none is
 * left out: the caller can be heard all the same.
 */
export function readIdentity(metadata: Metadata): StreamIdentity | undefined {
  const clusterName = metadata.get(clusterKey)[0];
  const from = readNodeId(metadata.get(fromKey)[0]);
  const to = readNodeId(metadata.get(toKey)[0]);
  if (clusterName === undefined || from === undefined || to === undefined) return undefined;
  const address = metadata.get(addressKey)[0]?.toString('utf8');
  const identity = { clusterName: clusterName.toString('utf8'), from, to };
  return address !== undefined && isCallableAddress(address) ? { ...identity, address } : identity;
}

function readNodeId(value: string | Buffer | undefined): NodeId | undefined {
  const text = String(value);
  return /^[1-9]\d{0,14}$/.test(text) && Number(text) <= MAX_INTEGER ? Number(text) : undefined;
}
