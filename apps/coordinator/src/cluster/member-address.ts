import { formatAddress, type Address } from '@concordat/foundation';
import { memberOf, type Member } from '@concordat/raft';

/**
 * A member of the group as the replicated configuration keeps it: `address` is where its peers reach it, `data` where
 * its clients do, both as `host:port`.
 */
export function memberAt(nodeId: number, raft: Address, http: Address): Member {
  return memberOf(nodeId, { address: formatAddress(raft), data: formatAddress(http) });
}

/** The base of a member's REST interface. */
export function httpUrlOf({ data }: Member): string {
  return `http://${data}`;
}
