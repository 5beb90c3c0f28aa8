import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LocalAuthority } from '../authority/local-authority.js';
import { plainSerialNumber } from './certificate-files.js';
import { ShownCertificate, WITHOUT_RESUMPTION } from './shown-certificate.js';

const HOUR_MS = 3_600_000;
const now = Date.now();
const at = (hours: number): Date => new Date(Math.ceil(now / 1_000) * 1_000 + hours * HOUR_MS);
const root = LocalAuthority.create('root', at(8));
const other = LocalAuthority.create('other');
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function shownBy(...pem: Buffer[]): ShownCertificate {
  const [own, ...others] = pem.map((text) => new X509Certificate(text));
  return new ShownCertificate([own!, ...others]);
}

const caOf = (...authorities: LocalAuthority[]): string =>
  authorities.map(({ certificate }) => certificate.toString()).join('');
const serialOf = (pem: Buffer): string => plainSerialNumber(new X509Certificate(pem).serialNumber);

describe('a certificate that was shown', () => {
  const own = root.issue({ subject: 'orders', notAfter: at(4) });

  it('counts while its authority is trusted, whatever was trusted before', () => {
    const shown = shownBy(own.cert);
    expect(shown.faultBy({ ca: caOf(root) }, now)).toBeUndefined();
    expect(shown.faultBy({ ca: caOf(root, other) }, now)).toBeUndefined();
    expect(shown.faultBy({ ca: caOf(other) }, now)).toEqual({
      ok: false,
      kind: 'untrusted',
      clause: 'is of no authority that is trusted here',
    });
    expect(shown.faultBy({}, now)).toMatchObject({ kind: 'untrusted' });
    expect(shown.faultBy({ ca: caOf(other, root) }, now)).toBeUndefined();
  });

  it('counts until it ends', () => {
    const shown = shownBy(own.cert);
    const trust = { ca: caOf(root) };
    expect(shown.faultBy(trust, at(4).getTime() - 1)).toBeUndefined();
    const { validTo } = new X509Certificate(own.cert);
    expect(shown.faultBy(trust, at(4).getTime())).toMatchObject({ kind: 'ended', clause: `has ended on ${validTo}` });
    expect(shown.faultBy(trust, now)).toBeUndefined(); // the clock was wrong
    expect(shownBy(own.cert).faultBy(trust, Date.UTC(2019, 0))).toMatchObject({ kind: 'untrusted' });
  });

  it('counts until its authority ends, or an intermediate one', () => {
    const later = root.issue({ subject: 'orders', notAfter: at(20) });
    expect(shownBy(later.cert).faultBy({ ca: caOf(root) }, at(9).getTime())).toMatchObject({
      kind: 'ended',
      clause: expect.stringMatching(/^is of an authority that has ended on /),
    });
    const between = root.issueAuthority('between', at(2));
    const deep = shownBy(between.issue({ subject: 'orders', notAfter: at(4) }).cert, between.certificate);
    expect(deep.faultBy({ ca: caOf(root) }, now)).toBeUndefined();
    expect(deep.faultBy({ ca: caOf(root) }, at(3).getTime())).toMatchObject({
      kind: 'ended',
      clause: expect.stringMatching(/^is of an intermediate authority that has ended on /),
    });
  });

  it('needs the intermediate authorities, in any order', () => {
    const first = root.issueAuthority('first');
    const last = first.issueAuthority('last');
    const { cert } = last.issue({ subject: 'orders' });
    const trust = { ca: caOf(root) };
    expect(shownBy(cert, last.certificate, first.certificate).faultBy(trust, now)).toBeUndefined();
    expect(shownBy(cert, first.certificate, last.certificate).faultBy(trust, now)).toBeUndefined();
    expect(shownBy(cert, last.certificate).faultBy(trust, now)).toMatchObject({ kind: 'untrusted' });
    const { cert: noAuthority } = root.issue({ subject: 'last' });
    expect(shownBy(cert, noAuthority).faultBy(trust, now)).toMatchObject({ kind: 'untrusted' });
  });

  it('does not count when it is revoked, or an authority between', () => {
    const between = root.issueAuthority('between');
    const { cert } = between.issue({ subject: 'orders' });
    const shown = shownBy(cert, between.certificate);
    const revoked = (pem: Buffer) => ({ ca: caOf(root), revoked: new Set([serialOf(pem)]) });
    expect(shown.faultBy(revoked(cert), now)).toEqual({ kind: 'revoked', clause: 'is revoked' });
    expect(shown.faultBy(revoked(between.certificate), now)).toEqual({
      kind: 'revoked',
      clause: 'is of an intermediate authority that is revoked',
    });
    expect(shown.faultBy(revoked(own.cert), now)).toBeUndefined();
  });
});

describe('what a connection has shown', () => {
  const between = root.issueAuthority('between');
  const { cert, key } = between.issue({ subject: 'orders' });
  const chain = Buffer.concat([cert, between.certificate]);

  async function listen(onSocket: (socket: TLSSocket) => void): Promise<number> {
    const options = { ca: root.certificate, cert: chain, key, requestCert: true, rejectUnauthorized: false };
    const server = createServer({ ...options, ...WITHOUT_RESUMPTION }, (socket) => {
      onSocket(socket);
      socket.on('error', () => undefined);
      socket.end('x');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  it.each<SecureVersion>(['TLSv1.2', 'TLSv1.3'])(
    'has its intermediate certificates, each time, with %s',
    async (maxVersion) => {
      const shown: (ShownCertificate | undefined)[][] = [];
      const reused: boolean[] = [];
      const port = await listen((socket) => {
        shown.push([ShownCertificate.ofClient(socket), ShownCertificate.ofClient(socket)]);
        reused.push(socket.isSessionReused());
      });
      let session: Buffer | undefined;
      for (let count = 0; count < 2; count++) {
        const socket = connect({
          port,
          ca: root.certificate,
          cert: chain,
          key,
          maxVersion,
          ...(session && { session }),
        });
        socket.on('session', (ticket) => (session = ticket));
        let seen: ShownCertificate | undefined;
        socket.once('secureConnect', () => (seen = ShownCertificate.ofServerSocket(socket)));
        socket.resume();
        await once(socket, 'close');
        expect(seen?.chain).toHaveLength(2);
        expect(seen?.faultBy({ ca: caOf(root) }, now)).toBeUndefined();
      }
      expect(reused).toEqual([false, false]);
      for (const [first, again] of shown) {
        expect(again).toBe(first);
        expect(first?.chain.map(({ subject }) => subject)).toEqual(['CN=orders', 'CN=between']);
        expect(first?.faultBy({ ca: caOf(root) }, now)).toBeUndefined();
      }
    },
  );

  it('is nothing without a certificate', async () => {
    const shown: unknown[] = [];
    const port = await listen((socket) => shown.push(ShownCertificate.ofClient(socket)));
    const socket = connect({ port, ca: root.certificate });
    socket.resume();
    await once(socket, 'close');
    expect(shown).toEqual([undefined]);
  });
});
