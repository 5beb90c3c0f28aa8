import { isIPv6 } from 'node:net';

/** Longer than any host name (253 characters) with its port. */
const maximumAddressLength = 270;

export interface HostAndPort {
  /** without the brackets of an IPv6 address */
  readonly host: string;
  readonly port: number;
}

/** Parses `host:port` or `[ipv6]:port`; undefined for any other text. Port 0 is valid. */
export function splitAddress(text: string): HostAndPort | undefined {
  if (text.length > maximumAddressLength) return undefined;
  const [, bracketed, name, portText] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? name;
  const port = Number(portText);
  if (host === undefined || port > 65_535) return undefined;
  return bracketed === undefined || isIPv6(bracketed) ? { host, port } : undefined;
}

/** Whether a node can be called there. */
export function isCallableAddress(text: string): boolean {
  return (splitAddress(text)?.port ?? 0) > 0;
}
