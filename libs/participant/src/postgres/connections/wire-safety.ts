import { BlockList, isIP, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ClientBase } from 'pg';
import type { WireSafety } from '../../checks/database-facts.js';
import { SecureSocket } from './secure-socket.js';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Private members of `pg`. */
interface Connected {
  readonly connection?: { readonly stream?: Socket | SecureSocket };
}

/**
 * How an open connection is guarded, as this end of it sees it.
 *
 * @param noticesImpostors see there
 */
export function wireSafety(client: ClientBase, noticesImpostors: boolean | undefined): WireSafety {
  const stream = (client as unknown as Connected).connection?.stream;
  const isEncrypted = stream instanceof TLSSocket || (stream instanceof SecureSocket && stream.isEncrypted);
  if (isEncrypted && noticesImpostors !== undefined) return noticesImpostors ? 'verified' : 'unverified';
  if (isEncrypted) return 'unknown';
  return isOnThisMachine(client) ? 'local' : 'plain';
}

/** Whether the server is reached by loopback, or by a socket of the file system, which has no address. */
export function isOnThisMachine(client: ClientBase): boolean {
  const address = (client as unknown as Connected).connection?.stream?.remoteAddress;
  return address === undefined || LOOPBACK.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
