import { isIP } from 'node:net';

/** Groups of an IPv6 address that name the network; within it a host may take any address that it likes. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/**
 * Which sender an address stands for in limits: an IPv4 address itself, also as IPv6 sockets show it, and of an IPv6
 * address its network (/64).
 */
export function senderOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = groupsOf(address);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return ipv4Of(groups[6]!, groups[7]!);
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => group.toString(16));
  return `${network.join(':')}::/64`;
}

/** The eight numbers of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [text = ''] = address.split('%'); // the interface
  const [head, tail] = text.split('::').map(numbersOf);
  if (!head || !tail) return head ?? [];
  return [...head, ...new Array<number>(GROUPS - head.length - tail.length).fill(0), ...tail];
}

function numbersOf(part: string): number[] {
  return part
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => {
      if (!group.includes('.')) return Number.parseInt(group, 16);
      const [first, second, third, fourth] = group.split('.').map(Number) as [number, number, number, number];
      return [first * 256 + second, third * 256 + fourth];
    });
}

function ipv4Of(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
