import { connect } from 'node:tls';
import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFilesAgain, silentLogger } from '@concordat/foundation';
import { TestAuthority } from '@concordat/raft/testing';
import { createTestNode, type TestNode } from './testing/test-node.js';
import { askSecurely, TestCertificates } from './testing/test-certificates.js';

const certificates = new TestCertificates();
const stranger = TestAuthority.create('stranger');
const LIST = '/v1/transactions';
let environment: Record<string, string>;
let node: TestNode;
let url: string;
let lines: string[];

async function start(more: Record<string, string> = {}): Promise<void> {
  lines = [];
  const note = (line: string): void => void lines.push(line);
  node = await createTestNode({ ...environment, ...more }, { ...silentLogger, info: note, warn: note, error: note });
  url = await node.listen();
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function metric(name: string): Promise<number> {
  const operator = certificates.client({ roles: ['operator'], name: 'oscar' });
  const { text } = await askSecurely(`${url}/metrics`, operator);
  return Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
}

const trusted = { ca: certificates.authority.certificate };

beforeEach(() => {
  certificates.write('revoked', '# none\n', 0o644);
  environment = certificates.node(1);
});
afterEach(async () => node?.app.close());
afterAll(() => certificates.remove());

describe('REST over TLS', () => {
  beforeEach(() => start());

  it('answers, and knows a client by its certificate', async () => {
    expect(url).toMatch(/^https:/);
    expect((await askSecurely(`${url}/healthz`, trusted)).status).toBe(200);
    const alice = certificates.client({ roles: ['client'] });
    expect((await askSecurely(`${url}${LIST}`, alice)).status).toBe(200);
    const begun = await askSecurely(`${url}${LIST}`, alice, { method: 'POST', body: {} });
    expect(begun.status).toBe(201);
    expect(node.transactions.calls.at(-1)).toMatchObject(['begin', { owner: 'certificate:alice' }]);
  });

  it('asks for a credential when there is none, and takes no HTTP in plain text', async () => {
    expect(await askSecurely(`${url}${LIST}`, trusted)).toMatchObject({
      status: 401,
      body: { code: 'UNAUTHENTICATED' },
    });
    await expect(fetch(`${url.replace('https', 'http')}/healthz`)).rejects.toThrow();
    await until(async () => (await metric('concordat_tls_refused_connections_total{use="http"}')) === 1);
    expect(lines.join('\n')).toContain('refused a connection from 127.0.0.1: no TLS: ');
  });

  it('speaks no version of TLS before 1.2', async () => {
    const { port } = new URL(url);
    const socket = connect({
      ...trusted,
      port: Number(port),
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await expect(once(socket, 'secureConnect')).rejects.toThrow(/version/);
  });

  it('gives each role what it may do', async () => {
    const prometheus = certificates.client({ roles: ['metrics'], name: 'prometheus' });
    expect((await askSecurely(`${url}/metrics`, prometheus)).status).toBe(200);
    expect(await askSecurely(`${url}${LIST}`, prometheus)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    const shop = certificates.client({ roles: ['client', 'participant'], name: 'shop' });
    expect((await askSecurely(`${url}${LIST}`, shop)).status).toBe(200);
  });

  it.each([
    [
      'self-signed',
      () => ({ ...stranger.issue({ clusterName: 'local', nodeId: 1 }), ...trusted }),
      'certificate-untrusted',
    ],
    [
      'of another authority',
      () => certificates.client({ roles: ['operator'], authority: stranger }),
      'certificate-untrusted',
    ],
    ['of another cluster', () => certificates.client({ roles: ['operator'], clusterName: 'blue' }), 'certificate-name'],
    ['without a role', () => certificates.client({ roles: [] }), 'certificate-name'],
    [
      'that has ended',
      () => certificates.client({ roles: ['operator'], notAfter: new Date('2021-01-01T00:00:00Z') }),
      'certificate-expired',
    ],
  ])('refuses a certificate %s, counts it, and does nothing', async (_what, issue, reason) => {
    const answer = await askSecurely(`${url}${LIST}`, issue(), { method: 'POST', body: {} });
    expect(answer).toMatchObject({
      status: 401,
      body: { code: 'UNAUTHENTICATED', detail: expect.stringMatching(/^the certificate/) },
    });
    expect(node.transactions.calls).toEqual([]);
    expect(await metric(`concordat_http_refused_credentials_total{reason="${reason}"}`)).toBe(1);
  });

  it('refuses a certificate that is revoked, also on an open connection', async () => {
    const mallory = certificates.client({ roles: ['client'], name: 'mallory' });
    expect((await askSecurely(`${url}${LIST}`, mallory)).status).toBe(200);
    const { serialNumber } = new X509Certificate(mallory.cert);
    certificates.write('revoked', `# stolen\n${serialNumber.toLowerCase()}\n`, 0o644);
    await until(async () => (await askSecurely(`${url}${LIST}`, mallory)).status === 401);
    const { body } = await askSecurely(`${url}${LIST}`, mallory);
    expect(body['detail']).toBe('the certificate was revoked; get a new one');
    expect((await askSecurely(`${url}${LIST}`, certificates.client({ roles: ['client'] }))).status).toBe(200);
  });

  it('does not believe the header of a node from somebody else', async () => {
    const [alice, mallory] = [
      certificates.client({ roles: ['operator'] }),
      certificates.client({ roles: ['metrics'] }),
    ];
    const header = { 'x-concordat-forwarded-certificate': new X509Certificate(alice.cert).raw.toString('base64') };
    expect((await askSecurely(`${url}${LIST}`, mallory, { headers: header })).status).toBe(403);
    expect((await askSecurely(`${url}${LIST}`, trusted, { headers: header })).status).toBe(401);
    const second = certificates.authority.issue({ clusterName: 'local', nodeId: 2 });
    expect((await askSecurely(`${url}${LIST}`, second, { headers: header })).status).toBe(200);
    const strange = certificates.client({ roles: ['operator'], authority: stranger });
    for (const forged of [
      new X509Certificate(strange.cert).raw.toString('base64'),
      'nonsense',
      '',
      'A'.repeat(9_000),
    ]) {
      const answer = await askSecurely(`${url}${LIST}`, second, {
        headers: { 'x-concordat-forwarded-certificate': forged },
      });
      expect(answer.body).toMatchObject({
        code: 'UNAUTHENTICATED',
        detail: 'the certificate is of no authority of this cluster',
      });
    }
  });
});

describe('certificates that change', () => {
  beforeEach(() => start());

  const serial = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ ...trusted, port: Number(new URL(url).port) }, () => {
        resolve(socket.getPeerX509Certificate()!.serialNumber);
        socket.destroy();
      });
      socket.on('error', reject);
    });

  it('are used without a restart', async () => {
    const before = await serial();
    certificates.node(1);
    await until(async () => (await serial()) !== before);
    expect(lines.join('\n')).toContain('the certificates of http have changed and are read again');
  });

  it('are used at once when somebody asks for it', async () => {
    const before = await serial();
    readFilesAgain();
    expect(lines).toContain('the certificates of http are the same');
    certificates.node(1);
    readFilesAgain();
    expect(await serial()).not.toBe(before);
  });

  it.each([
    [
      'expired',
      () => void certificates.node(1, { notAfter: new Date('2021-01-01T00:00:00Z') }),
      'must be a certificate that is valid now',
    ],
    [
      'of another node',
      () => void certificates.node(1, { uris: ['concordat://local/node/2'], withIdentity: false }),
      'must be a certificate of this node',
    ],
    [
      'nonsense',
      () => void certificates.write('node-1.pem', 'nonsense', 0o644),
      'must be the path of a file with a certificate in PEM',
    ],
    [
      'without its key',
      () => void certificates.write('node-1.key', certificates.client({ roles: [] }).key),
      'must be the private key of the certificate',
    ],
  ])('and are wrong (%s) are not taken', async (_what, change, sentence) => {
    const before = await serial();
    change();
    await until(() => lines.some((line) => line.includes('are not taken; the last ones stay')));
    expect(lines.join('\n')).toContain(sentence);
    expect(await serial()).toBe(before);
  });
});

describe('a certificate that ends soon', () => {
  it('is warned of, and its end is a metric', async () => {
    const days = 10;
    environment = certificates.node(1, { notAfter: new Date(Date.now() + days * 86_400_000) });
    await start();
    expect(lines.join('\n')).toMatch(
      /the certificate of http ends in 10 days: replace \S+ and its key; no restart is needed/,
    );
    const seconds = await metric('concordat_certificate_expiry_seconds{use="http"}');
    expect(seconds).toBeGreaterThan((days - 1) * 86_400);
    expect(seconds).toBeLessThan(days * 86_400);
  });
});

describe('a node that requires certificates of clients', () => {
  it('closes connections without a right one, and says why in its log', async () => {
    await start({ CONCORDAT_HTTP_TLS_CLIENTS: 'require' });
    const alice = certificates.client({ roles: ['client'] });
    expect((await askSecurely(`${url}${LIST}`, alice)).status).toBe(200);
    await expect(askSecurely(`${url}/healthz`, trusted)).rejects.toThrow();
    expect(lines.join('\n')).toContain('it shows no certificate');
    await expect(
      askSecurely(`${url}/healthz`, certificates.client({ roles: ['client'], authority: stranger })),
    ).rejects.toThrow();
    expect(await metric('concordat_tls_refused_connections_total{use="http"}')).toBe(2);
  });
});

describe('the change from plain text to TLS', () => {
  it.each(['accept', 'prefer'])('with %s it takes both on one port', async (mode) => {
    await start({ CONCORDAT_TLS: mode, CONCORDAT_AUTH: 'none' });
    expect((await askSecurely(`${url}/healthz`, trusted)).status).toBe(200);
    const plain = await fetch(`${url.replace('https', 'http')}${LIST}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(plain.status).toBe(201);
    expect((await askSecurely(`${url}${LIST}`, trusted, { method: 'POST', body: {} })).status).toBe(201);
  });
});
