import { spawnSync } from 'node:child_process';
import net from 'node:net';
import { guarded } from '@concordat/foundation';

/** Every part of a new local system, in the order of the tables. */
export const PART_NAMES = [
  'coordinator-1',
  'coordinator-2',
  'coordinator-3',
  'bank-a',
  'bank-b',
  'bank-c',
  'postgres-a',
  'postgres-b',
  'postgres-c',
  'kafka',
] as const;
/** The roads between coordinators and banks, as `CONCORDAT_LINK` names them. */
export const LINKS = ['kafka', 'direct', 'both'] as const;
export type Link = (typeof LINKS)[number];
export const DEFAULT_LINK: Link = 'kafka';

/** A coordinator that joins and leaves in scenarios; it keeps its data, like a machine that is switched off. */
export const GUEST_NAME = 'coordinator-4';
/** The services of the demo shop, which `npm start -- --shop` and the scenario `shop` add; each has its own database. */
export const SHOP_SERVICES = ['orders', 'inventory', 'payments'] as const;
export type ShopService = (typeof SHOP_SERVICES)[number];
export type PartName = (typeof PART_NAMES)[number] | typeof GUEST_NAME | ShopService;
export const BANKS = ['bank-a', 'bank-b', 'bank-c'] as const;
export type BankLetter = 'a' | 'b' | 'c';

export type PortNumbers = Readonly<Record<string, number>>;

/** The ports of one part, by purpose (contract.md, "Ports of the local system"). */
export function portsOf(name: PartName, offset: number): PortNumbers {
  const shopPlace = SHOP_SERVICES.findIndex((service) => service === name);
  if (shopPlace >= 0) return { http: 8094 + shopPlace + offset };
  const place = Number.parseInt(name.slice(-1), 36); // 1..4 for coordinators, 10..12 for a..c
  const letter = place - 9;
  if (name === 'kafka') return { broker: 9092 + offset, controller: 9093 + offset };
  if (name.startsWith('coordinator')) {
    return { http: 8080 + place + offset, raft: 9080 + place + offset, direct: 7080 + place + offset };
  }
  if (name.startsWith('bank')) return { http: 8090 + letter + offset };
  return { postgres: 5432 + letter + offset };
}

const LOOPBACK = '127.0.0.1';

/** The HTTP of a service. In a secured system the coordinators speak TLS; the demo services never do. */
export function httpUrl(
  { security, portOffset }: { readonly security?: object | undefined; readonly portOffset: number },
  name: PartName,
): string {
  const isSecure = security !== undefined && name.startsWith('coordinator');
  return `${isSecure ? 'https' : 'http'}://${LOOPBACK}:${portsOf(name, portOffset)['http']}`;
}

export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    const end = (free: boolean) => guarded(() => resolve(free), reject);
    const [guardedFree, guardedTaken] = [end(true), end(false)];
    const guardedClose = guarded(() => server.close(guardedFree), reject);
    server.once('error', guardedTaken);
    server.listen(port, LOOPBACK, guardedClose);
  });
}

/** The program that listens on a port, in words, as far as the system tells. */
export function holderOfPort(port: number): string {
  const ss = spawnSync('ss', ['-Hltnp', `sport = :${port}`], { encoding: 'utf8' });
  const match = /\("([^"]+)",pid=(\d+)/.exec(ss.stdout ?? '');
  if (match) return `${match[1]}, process ${match[2]}`;
  const lsof = spawnSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], { encoding: 'utf8' });
  const found = /p(\d+)\s+c(\S+)/.exec(lsof.stdout ?? '');
  return found ? `${found[2]}, process ${found[1]}` : 'another program';
}
