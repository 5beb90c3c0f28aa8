import { Agent, request } from 'node:https';
import { once } from 'node:events';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFilesAgain, silentLogger } from '@concordat/foundation';
import { TestAuthority } from '@concordat/raft/testing';
import { active, committing } from './testing/fake-engine.js';
import { Http2Client } from './testing/http2-client.js';
import { askSecurely, TestCertificates, type SecureAnswer, type TestTls } from './testing/test-certificates.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const certificates = new TestCertificates();
const successor = TestAuthority.create('successor');
const LIST = '/v1/transactions';
const ends: (() => unknown)[] = [];
let node: TestNode;
let url: string;
let lines: string[];

async function start(more: Record<string, string> = {}): Promise<void> {
  lines = [];
  const note = (line: string): void => void lines.push(line);
  const logger = { ...silentLogger, info: note, warn: note, error: note };
  node = await createTestNode({ ...certificates.node(1), ...more }, logger);
  url = await node.listen();
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Requests over one connection. */
function keptAlive(tls: TestTls): { ask(path?: string): Promise<SecureAnswer>; ports: Set<number> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number>();
  agent.on('free', (socket: TLSSocket) => ports.add(socket.localPort!));
  ends.push(() => agent.destroy());
  return { ask: (path = LIST) => askSecurely(`${url}${path}`, tls, { agent }), ports };
}

/** The same over HTTP/2. */
async function session(tls: TestTls): Promise<Http2Client> {
  const client = await Http2Client.connect(url, tls);
  ends.push(() => client.destroy());
  return client;
}

function trust(...authorities: TestAuthority[]): void {
  const pem = Buffer.concat(authorities.map(({ certificate }) => certificate));
  certificates.write('ca.pem', pem, 0o644);
  readFilesAgain();
}

function revoke(certificate: Buffer): void {
  certificates.write('revoked', new X509Certificate(certificate).serialNumber, 0o644);
  readFilesAgain();
}

/** Whole seconds, as certificates have them. */
const inSeconds = (seconds: number): Date => new Date((Math.ceil(Date.now() / 1_000) + seconds) * 1_000);

beforeEach(() => {
  certificates.write('revoked', '# none\n', 0o644);
  certificates.write('ca.pem', certificates.authority.certificate, 0o644);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await node?.app.close();
});
afterAll(() => certificates.remove());

describe('a connection that is open', () => {
  it('is believed no longer when its authority is trusted no longer', async () => {
    await start();
    const oscar = certificates.client({ roles: ['operator'], name: 'oscar' });
    const [http1, http2] = [keptAlive(oscar), await session(oscar)];
    expect([(await http1.ask()).status, (await http2.ask(LIST)).status]).toEqual([200, 200]);
    trust(certificates.authority, successor);
    expect([(await http1.ask()).status, (await http2.ask(LIST)).status]).toEqual([200, 200]);
    trust(successor);
    const refusal = { code: 'UNAUTHENTICATED', detail: 'the certificate is of no authority of this cluster' };
    expect(await http1.ask()).toMatchObject({ status: 401, body: refusal });
    expect(await http2.ask(LIST)).toMatchObject({ status: 401, body: refusal });
    expect(http1.ports.size).toBe(1);
    expect(lines.join('\n')).toContain('is of no authority that is trusted here');
    const client = certificates.client({ roles: ['operator'], name: 'oscar', authority: successor });
    expect((await askSecurely(`${url}${LIST}`, client)).status).toBe(200);
    trust(certificates.authority);
    expect([(await http1.ask()).status, (await http2.ask(LIST)).status]).toEqual([200, 200]);
  });

  it('is believed no longer when its certificate has ended', async () => {
    await start();
    const alice = certificates.client({ roles: ['client'], notAfter: inSeconds(2) });
    const [http1, http2] = [keptAlive(alice), await session(alice)];
    expect([(await http1.ask()).status, (await http2.ask(LIST)).status]).toEqual([200, 200]);
    await until(async () => (await http1.ask()).status === 401);
    const refusal = { code: 'UNAUTHENTICATED', detail: 'the certificate has expired; get a new one' };
    expect((await http1.ask()).body).toMatchObject(refusal);
    expect((await http2.ask(LIST)).body).toMatchObject(refusal);
    expect(http1.ports.size).toBe(1);
  });

  it('is believed no longer when its certificate is revoked, whatever is wrong with those of the node', async () => {
    await start();
    const mallory = certificates.client({ roles: ['client'], name: 'mallory' });
    const [http1, http2] = [keptAlive(mallory), await session(mallory)];
    expect([(await http1.ask()).status, (await http2.ask(LIST)).status]).toEqual([200, 200]);
    certificates.node(1, { notAfter: new Date('2021-01-01T00:00:00Z') });
    revoke(mallory.cert);
    const refusal = { code: 'UNAUTHENTICATED', detail: 'the certificate was revoked; get a new one' };
    expect(await http1.ask()).toMatchObject({ status: 401, body: refusal });
    expect(await http2.ask(LIST)).toMatchObject({ status: 401, body: refusal });
    expect(lines.join('\n')).toMatch(
      /the certificates of http are not taken; the last ones stay: .* this one ended on/,
    );
    expect(lines).toContain('the revocations of http have changed and are read again');
  });

  it.each<[string, (own: TestTls) => void]>([
    ['is of an authority that is trusted no longer', () => trust(successor)],
    ['is revoked', ({ cert }) => revoke(cert)],
  ])('gets no further event when its certificate %s', async (_what, change) => {
    await start();
    const mallory = certificates.client({ roles: ['observer'], name: 'mallory' });
    const sent = request(`${url}/v1/events`, { ...mallory, agent: false });
    sent.on('error', () => undefined);
    sent.end();
    ends.push(() => sent.destroy());
    const [response] = (await once(sent, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
    expect(response.statusCode).toBe(200);
    let text = '';
    response.on('data', (piece: Buffer) => (text += piece.toString()));
    const ended = once(response, 'end');
    node.transactions.publish(active);
    await until(() => text.includes('event: transaction'));
    const before = text;
    change(mallory);
    node.transactions.publish(committing);
    await ended;
    expect(text).toBe(before);
  });
});

describe('where clients must show certificates', () => {
  beforeEach(() => start({ CONCORDAT_HTTP_TLS_CLIENTS: 'require', CONCORDAT_AUTH: 'none' }));

  it.each([
    ['is of a retired authority', () => trust(successor), {}, 'is of no authority that is trusted here'],
    ['has ended', () => undefined, { notAfter: () => inSeconds(2) }, 'has ended on '],
  ])(
    'a connection is closed whose certificate %s',
    async (_what, change, { notAfter }: { notAfter?: () => Date }, clause) => {
      const alice = certificates.client({ roles: ['client'], ...(notAfter && { notAfter: notAfter() }) });
      const socket = connectTls({ ...alice, port: Number(new URL(url).port) });
      socket.on('error', () => undefined);
      await once(socket, 'secureConnect');
      const closed = once(socket, 'close');
      change();
      await closed;
      expect(lines.join('\n')).toContain(`refused a connection from 127.0.0.1: its certificate ${clause}`);
    },
  );
});
