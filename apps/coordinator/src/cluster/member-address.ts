import { formatAddress, type Address } from '@concordat/foundation';
import { memberOf, type Member } from '@concordat/raft';

/**
 * A member for the replicated configuration: `address` is its Raft address, `data` its REST address, both `host:port`.
 */
export function memberAt(nodeId: number, raft: Address, http: Address): Member {
  return memberOf(nodeId, { address: formatAddress(raft), data: formatAddress(http) });
}

export function httpUrlOf({ data }: Member): string {
  return `http://${data}`;
}
