import { X509Certificate } from 'node:crypto';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { LocalAuthority } from '@concordat/foundation/authority';
import { CERTIFICATE_ROLES, randomChance, randomInteger, randomItem, SeededRandom } from '@concordat/foundation';
import { Authentication } from './authentication.js';
import { CertificateAuthenticator, FORWARDED_CERTIFICATE_HEADER } from './certificate-authenticator.js';
import type { Principal } from './credentials/principal.js';
import { CredentialRefusedError } from './errors.js';

/** Of `npm run test:nightly` all, otherwise what fits into the suite. */
const IS_NIGHTLY = process.env['CONCORDAT_NIGHTLY'] === '1';
const COUNT = IS_NIGHTLY ? 100_000 : 5_000;
/** They are signed, each with a key of its own. */
const SIGNED_COUNT = IS_NIGHTLY ? 20_000 : 1_000;
const TIMEOUT_MS = IS_NIGHTLY ? 600_000 : 60_000;
const CLUSTER = 'local';
const MOMENT = Date.UTC(2026, 5, 1);
const CHARACTERS = 'ABab01+/=-_, \r\n\u0000\u00e4';
const name = (role: string, owner: string, cluster = CLUSTER): string => `concordat://${cluster}/${role}/${owner}`;

const random = new SeededRandom(16);
const authority = LocalAuthority.create('ours');
const intermediate = authority.issueAuthority('between');
const stranger = LocalAuthority.create('ours'); // of the same name, with another key

function issued(by: LocalAuthority, uris: readonly string[], notAfter?: Date): Buffer {
  return derOf(by.issue({ subject: 'somebody', uris, ...(notAfter && { notAfter }) }).cert);
}

function derOf(pem: Buffer): Buffer {
  return new X509Certificate(pem).raw;
}

/** The chains of two clients, the end certificate first. */
const CHAINS: readonly (readonly Buffer[])[] = [
  [issued(authority, [name('client', 'alice')])],
  [issued(intermediate, [name('operator', 'oscar'), name('observer', 'oscar')]), derOf(intermediate.certificate)],
];
const FOREIGN: readonly Buffer[] = [
  derOf(authority.certificate),
  derOf(stranger.certificate),
  issued(stranger, [name('operator', 'oscar')]),
  issued(authority, [name('operator', 'oscar', 'blue')]),
  issued(authority, [name('operator', 'oscar')], new Date('2021-01-01T00:00:00Z')),
  issued(authority, []),
  derOf(stranger.issueAuthority('between').certificate),
];

let authentication: Authentication;
let node: TLSSocket;
beforeAll(() => {
  authentication = new Authentication([
    new CertificateAuthenticator({
      clusterName: CLUSTER,
      certificates: { faultOf: (shown) => shown.faultBy({ ca: authority.certificate.toString() }, MOMENT) },
    }),
  ]);
  node = connectionOf(authority.issue({ subject: 'node', uris: [name('node', '2')] }).cert);
});

/** A connection whose handshake has shown this certificate. */
function connectionOf(pem: Buffer): TLSSocket {
  const socket = new TLSSocket(new Socket());
  socket.authorized = true;
  socket.getPeerX509Certificate = () => new X509Certificate(pem);
  return socket;
}

function headerOf(chain: readonly Buffer[]): string {
  return chain.map((der) => der.toString('base64')).join(',');
}

/** What a node is told that it has passed on: the principal, undefined when it is refused. */
async function passedOn(header: string): Promise<Principal | undefined> {
  try {
    return await authentication.identify({ rawHeaders: [FORWARDED_CERTIFICATE_HEADER, header], socket: node });
  } catch (error) {
    if (error instanceof CredentialRefusedError) return undefined;
    throw error;
  }
}

function mutateBytes(der: Buffer): Buffer {
  const copy = Buffer.from(der);
  const at = randomInteger(random, 0, der.length - 1);
  const byte = Buffer.from([randomInteger(random, 0, 255)]);
  const other = randomItem(random, FOREIGN);
  const mutations = [
    () => copy.fill(byte[0]!, at, Math.min(at + randomInteger(random, 1, 8), copy.length)),
    () => copy.subarray(0, at),
    () => Buffer.concat([copy.subarray(0, at), byte, copy.subarray(at)]),
    () => Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1)]),
    () => Buffer.concat([copy.subarray(0, at), other.subarray(Math.min(at, other.length))]),
    () => {
      copy[at]! ^= 1 << randomInteger(random, 0, 7);
      return copy;
    },
    // a whole field of the same length: a year, a name, a number of the key
    () => {
      const length = randomInteger(random, 1, 64);
      other.copy(copy, at, Math.min(at, other.length), Math.min(at + length, other.length));
      return copy;
    },
  ];
  return randomItem(random, mutations)();
}

function mutateChain(chain: readonly Buffer[]): readonly Buffer[] {
  const at = randomInteger(random, 0, chain.length - 1);
  const mutations = [
    () => chain.with(at, mutateBytes(chain[at]!)),
    () => chain.with(at, randomItem(random, FOREIGN)),
    () => [randomItem(random, FOREIGN), ...chain],
    () => chain.toSpliced(at, 0, mutateBytes(chain[at]!)),
    () => chain.toReversed(),
    () => chain.slice(0, -1),
    () => chain.slice(1),
    () => Array.from({ length: randomInteger(random, 2, 9) }, () => randomItem(random, chain)),
  ];
  // where the bytes are wrong decides how far it comes: most of the time those are
  return randomChance(random, 0.6) ? mutations[0]!() : randomItem(random, mutations)();
}

function mutateText(header: string): string {
  const at = randomInteger(random, 0, header.length - 1);
  const text = CHARACTERS[randomInteger(random, 0, CHARACTERS.length - 1)]!;
  const pem = (body: string): string => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----`;
  const mutations = [
    () => header.slice(0, at) + text + header.slice(at + 1),
    () => header.slice(0, at) + text + header.slice(at),
    () => header.slice(0, at),
    () => header + text.repeat(randomInteger(random, 1, 9_000)),
    () => `${pem(randomItem(random, FOREIGN).toString('base64'))}\n${header}`,
    () => `${header.slice(0, at)}\n-----END CERTIFICATE-----\n${header.slice(at)}`,
    () => (randomChance(random, 0.5) ? header.toLowerCase() : header.toUpperCase()),
    () => decodeURIComponent(encodeURIComponent(header).slice(0, at).replace(/%.?$/, '')),
    () => pem(header),
  ];
  return randomItem(random, mutations)();
}

describe('a mutated certificate', () => {
  it(
    `that a node passes on is refused, or is still the same one, ${COUNT} times`,
    async () => {
      const readOriginals = (): Promise<unknown[]> =>
        Promise.all(CHAINS.map(async (chain) => ({ ...(await passedOn(headerOf(chain))), counts: undefined })));
      const originals = (await readOriginals()) as Principal[];
      expect(originals.map(({ id }) => id)).toEqual(['certificate:alice', 'certificate:oscar']);
      const wrong: string[] = [];
      let [refused, same] = [0, 0];
      for (let count = 0; count < COUNT; count++) {
        const chain = randomItem(random, CHAINS);
        const header = randomChance(random, 0.75) ? headerOf(mutateChain(chain)) : mutateText(headerOf(chain));
        const principal = await passedOn(header);
        if (!principal) refused++;
        else if (CHAINS.some(([own]) => principal.certificate?.split(',')[0] === own!.toString('base64'))) same++;
        else wrong.push(header);
      }
      expect(wrong).toEqual([]);
      expect(refused + same).toBe(COUNT);
      expect(refused / COUNT).toBeGreaterThan(0.8);
      expect(await readOriginals()).toEqual(originals);
    },
    TIMEOUT_MS,
  );

  it(
    `that our authority has signed has only the roles that its names say, ${SIGNED_COUNT} times`,
    async () => {
      const wrong: unknown[] = [];
      let accepted = 0;
      for (let count = 0; count < SIGNED_COUNT; count++) {
        const uris = Array.from({ length: randomInteger(random, 1, 3) }, () => strangeUri());
        const hosts = [strangeHost()];
        const { cert } = authority.issue({ subject: 'somebody', hosts, uris });
        const principal = await passedOn(headerOf([derOf(cert)]));
        if (!principal) continue;
        accepted++;
        const owner = principal.id.replace(/^certificate:(?:node\/)?/, '');
        const isSaid = (role: string): boolean => uris.some((uri) => decoded(uri) === name(role, owner));
        if (![...principal.roles].every((role) => isSaid(role))) wrong.push({ principal, hosts, uris });
      }
      expect(wrong).toEqual([]);
      expect(accepted).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});

function strangeUri(): string {
  const right = name(randomItem(random, CERTIFICATE_ROLES), randomItem(random, ['alice', 'oscar']));
  if (randomChance(random, 0.5)) return right;
  const at = randomInteger(random, 0, right.length - 1);
  const text = randomItem(random, [
    '/',
    '%2F',
    '%6c',
    '%',
    ',',
    ', URI:',
    '"',
    '\\',
    '\u0000',
    '\n',
    ':',
    '..',
    'x',
    '',
  ]);
  return right.slice(0, at) + text + right.slice(at + randomInteger(random, 0, 2));
}

/** A name of a host that says more when it is printed beside others. */
function strangeHost(): string {
  const before = randomItem(random, ['', 'a', 'a"', '"', '\\', 'a\u0000', 'a\n', 'a, ', '", ']);
  const prefix = randomItem(random, [', URI:', 'URI:', '",URI:', '\\", URI:', '\n, URI:', ', DNS:x, URI:']);
  return `${before}${prefix}${name(randomItem(random, CERTIFICATE_ROLES), 'alice')}${randomItem(random, ['', '"', ', '])}`;
}

function decoded(uri: string): string {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}
