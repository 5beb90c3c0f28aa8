export interface Address {
  readonly host: string;
  readonly port: number;
}

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;
/** The longest name that DNS allows (RFC 1035, section 2.3.4). */
const MAXIMUM_HOST_LENGTH = 255;

/** Parses `host:port`; undefined for any other text, or a port outside 1 to 65,535. */
export function parseAddress(text: string): Address | undefined {
  const match = ADDRESS.exec(text);
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65_535 || match[1]!.length > MAXIMUM_HOST_LENGTH) return undefined;
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port };
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
