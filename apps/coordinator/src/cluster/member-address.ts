import { formatAddress, type Address } from '@concordat/foundation';
import { memberOf, type Member } from '@concordat/raft';
import type { Config } from '../config.js';

/**
 * A member for the replicated configuration: `address` is its Raft address, `data` its REST address, both `host:port`.
 */
export function memberAt(nodeId: number, raft: Address, http: Address): Member {
  return memberOf(nodeId, { address: formatAddress(raft), data: formatAddress(http) });
}

/** How members speak to each other's REST interface. */
export type MemberScheme = 'http' | 'https';

export function memberScheme({ tls }: Partial<Pick<Config, 'tls'>>): MemberScheme {
  return tls && tls.mode !== 'accept' ? 'https' : 'http';
}

export function httpUrlOf({ data }: Member, scheme: MemberScheme = 'http'): string {
  return `${scheme}://${data}`;
}
