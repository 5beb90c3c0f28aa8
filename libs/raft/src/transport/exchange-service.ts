import { Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { formatId } from '../core/membership/addressing.js';
import type { Verdict } from './process-claims.js';
import { MAXIMUM_INTEGER, type GroupId, type Incarnation, type NodeId } from '../core/types.js';
import { isCallableAddress } from './peer-address.js';

/** gRPC passes frames as bytes: our codec decodes and checks them, so bad ones can be counted. */
const asBytes = (bytes: Buffer): Buffer => bytes;

/** The service of `raft.proto`, defined without generated code. */
export const exchangeMethod: MethodDefinition<Buffer, Buffer> = {
  path: '/concordat.raft.v1.RaftTransport/Exchange',
  requestStream: true,
  responseStream: true,
  requestSerialize: asBytes,
  requestDeserialize: asBytes,
  responseSerialize: asBytes,
  responseDeserialize: asBytes,
};

/** Caller and called node of a stream; both sides must agree on it. */
export interface StreamIdentity {
  readonly clusterName: string;
  readonly from: NodeId;
  readonly to: NodeId;
  /** of the caller's group; 0, or absent, while it belongs to none */
  readonly groupId?: GroupId;
  /** of the caller's directory; 0, or absent, when unknown */
  readonly incarnation?: Incarnation;
  /** a random number of the caller's process; 0, or absent, when it has none */
  readonly process?: number;
  /** `host:port` where the caller listens; optional */
  readonly address?: string;
}

const clusterKey = 'concordat-cluster-bin'; // binary, because a cluster's name may have any characters
const fromKey = 'concordat-from';
const toKey = 'concordat-to';
const groupKey = 'concordat-group';
const incarnationKey = 'concordat-incarnation';
const processKey = 'concordat-process';
const verdictKey = 'concordat-process-verdict';
const addressKey = 'concordat-address-bin';

export function identityMetadata(identity: StreamIdentity): Metadata {
  const metadata = new Metadata();
  metadata.set(clusterKey, Buffer.from(identity.clusterName, 'utf8'));
  metadata.set(fromKey, String(identity.from));
  metadata.set(toKey, String(identity.to));
  if (identity.groupId) metadata.set(groupKey, String(identity.groupId));
  if (identity.incarnation) metadata.set(incarnationKey, String(identity.incarnation));
  if (identity.process) metadata.set(processKey, String(identity.process));
  if (identity.address !== undefined) metadata.set(addressKey, Buffer.from(identity.address, 'utf8'));
  return metadata;
}

/**
 * The identity that a caller claims; undefined when it names none. An invalid address, group, incarnation or process is
 * left out: each message names its group and incarnation anyway.
 */
export function readIdentity(metadata: Metadata): StreamIdentity | undefined {
  const clusterName = metadata.get(clusterKey)[0];
  const from = readInteger(metadata.get(fromKey)[0]);
  const to = readInteger(metadata.get(toKey)[0]);
  if (clusterName === undefined || from === undefined || to === undefined) return undefined;
  const address = metadata.get(addressKey)[0]?.toString('utf8');
  const optional = (key: string): number => readInteger(metadata.get(key)[0]) ?? 0;
  const identity = {
    clusterName: clusterName.toString('utf8'),
    from,
    to,
    groupId: optional(groupKey),
    incarnation: optional(incarnationKey),
    process: optional(processKey),
  };
  return address !== undefined && isCallableAddress(address) ? { ...identity, address } : identity;
}

/** Metadata of a refusal because of the group: the refusing node's group. */
export function groupMetadata(groupId: GroupId): Metadata {
  const metadata = new Metadata();
  metadata.set(groupKey, String(groupId));
  return metadata;
}

/** Metadata of a refusal because of another process. */
export function verdictMetadata(verdict: Verdict): Metadata {
  const metadata = new Metadata();
  metadata.set(verdictKey, verdict);
  return metadata;
}

/** The verdict about the calling process in a status, if there is one. */
export function readVerdict(metadata: Metadata): Verdict | undefined {
  const verdict = metadata.get(verdictKey)[0];
  return verdict === 'wait' || verdict === 'second' ? verdict : undefined;
}

/** Whether a status refuses a stream because of the group. */
export function refusesGroup(metadata: Metadata): boolean {
  return readInteger(metadata.get(groupKey)[0]) !== undefined;
}

/**
 * Why nodes of two groups do not communicate, and what to do; undefined when the caller is of this one, or of none yet.
 */
export function groupFault({ from, to, clusterName, groupId = 0 }: StreamIdentity, own: GroupId): string | undefined {
  if (groupId === 0 || own === 0 || groupId === own) return undefined;
  return (
    `node ${from}, the caller, belongs to the group with id ${formatId(groupId)}, node ${to}, which it called, to ` +
    `another one with id ${formatId(own)}, and both are named ${JSON.stringify(clusterName)}: correct the addresses ` +
    'of the nodes, and give each group a name of its own; a node that is to change its group has to start with an ' +
    'empty directory'
  );
}

function readInteger(value: string | Buffer | undefined): number | undefined {
  const text = String(value);
  return /^[1-9]\d{0,14}$/.test(text) && Number(text) <= MAXIMUM_INTEGER ? Number(text) : undefined;
}
