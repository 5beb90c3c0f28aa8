import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { certificateFault, nodeCertificateUri } from './node-certificate.js';
import { TestAuthority } from './testing/test-authority.js';

const node = { clusterName: 'a/b', nodeId: 7 };
const own = 'URI:concordat://a%2Fb/node/7';

describe('the node that a certificate names', () => {
  it('has its cluster’s name encoded, with every character that may be printed otherwise', () => {
    expect(nodeCertificateUri(node)).toBe('concordat://a%2Fb/node/7');
    const everyCharacter = String.fromCharCode(...Array.from({ length: 255 }, (_, at) => at + 1));
    expect(nodeCertificateUri({ clusterName: everyCharacter, nodeId: 1 })).toMatch(
      /^concordat:\/\/[A-Za-z0-9_.~%-]+\/node\/1$/,
    );
  });

  it.each([own, `DNS:localhost, IP Address:127.0.0.1, ${own}`, `${own}, URI:https://example`, `DNS:"a, b", ${own}`])(
    'is the one of %s',
    (names) => {
      expect(certificateFault(names, node)).toBeUndefined();
    },
  );

  it.each([
    [undefined, 'names no node of a cluster'],
    ['', 'names no node of a cluster'],
    ['DNS:localhost', 'names no node of a cluster'],
    [`DNS:"a, ${own}"`, 'names no node of a cluster'],
    [`DNS:"a\\", ${own}"`, 'names no node of a cluster'],
    [`DNS:x${own}`, 'names no node of a cluster'],
    [`${own}, ${own}`, 'names several nodes'],
    ['URI:concordat://a%2Fb/node/8', 'names node 8 of cluster "a/b"'],
    ['URI:concordat://a/node/7', 'names node 7 of cluster "a"'],
    ['URI:concordat://a%2fb/node/7', 'names node 7 of cluster "a/b"'], // there is one way to write a name
    ['URI:concordat://%/node/7', 'names "concordat://%/node/7"'],
    ['URI:concordat:nonsense', 'names "concordat:nonsense"'],
  ])('is not the one of %j', (names, complaint) => {
    expect(certificateFault(names, node)).toBe(`the certificate ${complaint}`);
  });
});

describe('TestAuthority', () => {
  const authority = TestAuthority.create();
  const issuer = new X509Certificate(authority.certificate);

  it('signs certificates that are well-formed and say what was asked for', () => {
    const hosts = ['localhost', '10.1.2.3', '::1', '2001:db8::7'];
    const notAfter = new Date('2049-12-31T23:59:59Z');
    const certificate = new X509Certificate(authority.issue({ ...node, hosts, notAfter }).cert);
    expect(certificate.verify(issuer.publicKey)).toBe(true);
    expect(certificate.checkIssued(issuer)).toBe(true);
    expect([issuer.ca, certificate.ca]).toEqual([true, false]);
    expect(certificate.subject).toBe('CN=node 7');
    expect(certificateFault(certificate.subjectAltName, node)).toBeUndefined();
    const covered = hosts.map((host) => (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)));
    expect(covered).toEqual(hosts);
    expect(certificate.validTo).toBe('Dec 31 23:59:59 2049 GMT');
    expect(issuer.validTo).toBe('Dec 31 00:00:00 2119 GMT');
  });

  it('differs from every other, and so do its certificates', () => {
    const [one, two] = [authority.issue(node), authority.issue(node)];
    expect(one.key.equals(two.key)).toBe(false);
    expect(new X509Certificate(one.cert).serialNumber).not.toBe(new X509Certificate(two.cert).serialNumber);
    const namesake = new X509Certificate(TestAuthority.create().certificate);
    expect(new X509Certificate(one.cert).verify(namesake.publicKey)).toBe(false);
  });
});
