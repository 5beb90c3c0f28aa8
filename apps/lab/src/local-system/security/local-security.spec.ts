import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { namesInCluster, readCertificates, readFilesAgain, silentLogger, SystemClock } from '@concordat/foundation';
import { MessageSignatures } from '@concordat/messaging';
import { contextKeysOf } from '@concordat/participant';
import { nodeOwner, participantOwner } from './certificates.js';
import { LocalSecurity } from './local-security.js';
import { SecretFiles } from './secret-files.js';
import { LocalSigningKeys, signatureAlgorithm } from './signing-keys.js';
import { SIGNATURE_HEADER, signatureOf, signaturesOfPair, type SignedParts } from './record-signature.js';

let directory: string;
let security: LocalSecurity;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'concordat-security-'));
  security = LocalSecurity.of(directory, 'local');
  security.ensure();
});

afterEach(() => rmSync(directory, { recursive: true }));

const now = Date.now();

function contents(): Map<string, string> {
  const names = readdirSync(security.directory, { recursive: true, encoding: 'utf8' });
  const files = names.map((name) => path.join(security.directory, name)).filter((file) => statSync(file).isFile());
  return new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));
}

describe('what a secured system has beside its data', () => {
  it('is made once, and readable by its user only', () => {
    const first = contents();
    LocalSecurity.of(directory, 'local').ensure();
    expect(contents()).toEqual(first);
    expect([...first.keys()].filter((file) => (statSync(file).mode & 0o077) !== 0)).toEqual([]);
    expect(statSync(security.directory).mode & 0o777).toBe(0o700);
  });

  it('has certificates that processes take, each with the name of its owner', () => {
    const owners = [nodeOwner(1), nodeOwner(4), participantOwner('bank-a'), security.ownerOf('orders')];
    const read = owners.map((owner) => readCertificates(security.certificates.paths(owner), { now }));
    expect(read.map(({ ok }) => ok)).toEqual([true, true, true, true]);
    const names = owners.map((owner) => {
      const pem = readFileSync(security.certificates.paths(owner).certificate);
      return namesInCluster(new X509Certificate(pem).subjectAltName, 'local');
    });
    expect(names).toMatchObject([
      { name: '1', roles: ['node'] },
      { name: '4', roles: ['node'] },
      { name: 'bank-a', roles: ['participant'] },
      { name: 'orders', roles: ['client', 'participant'] },
    ]);
  });

  it('replaces its authority in steps, between which every certificate is trusted', () => {
    const { certificates } = security;
    const owner = nodeOwner(1);
    const issuersOf = (): X509Certificate[] =>
      readFileSync(certificates.caFile, 'utf8')
        .split(/(?<=-----END CERTIFICATE-----\n)/)
        .map((pem) => new X509Certificate(pem));
    const isTrusted = (): boolean => {
      const own = new X509Certificate(readFileSync(certificates.paths(owner).certificate));
      return issuersOf().some((issuer) => own.checkIssued(issuer) && own.verify(issuer.publicKey));
    };
    certificates.addAuthority();
    expect([issuersOf().length, isTrusted()]).toEqual([2, true]);
    certificates.replace(owner);
    expect(isTrusted()).toBe(true);
    certificates.dropOldAuthorities();
    expect([issuersOf().length, isTrusted()]).toEqual([1, true]);
  });

  it('gives a cluster beside it certificates of the same authority', () => {
    const neighbour = security.forCluster('neighbour');
    neighbour.ensure();
    const pem = readFileSync(neighbour.certificates.paths(nodeOwner(1)).certificate);
    const certificate = new X509Certificate(pem);
    expect(certificate.verify(new X509Certificate(readFileSync(security.certificates.caFile)).publicKey)).toBe(true);
    expect(namesInCluster(certificate.subjectAltName, 'local').ok).toBe(false);
    expect(neighbour.access).toEqual(security.access);
  });

  it('has a file with the key of contexts, which is replaced in steps', () => {
    const { contextKeys } = security;
    const environment = { CONCORDAT_CONTEXT_KEY: 'one of the user', ...security.serviceVariables('orders', 'direct') };
    const keys = contextKeysOf({ cluster: 'local', coordinators: ['https://elsewhere:1'], environment });
    const [old] = keys();
    const read = (): readonly string[] => {
      readFilesAgain();
      return keys();
    };
    const key = contextKeys.add();
    expect([old !== key, read()]).toEqual([true, [old, key]]);
    contextKeys.signWith(key);
    expect([contextKeys.signing, read()]).toEqual([key, [key, old]]);
    contextKeys.dropOthers();
    expect(read()).toEqual([key]);
  });

  it('refuses to sign in a way that it does not know', () => {
    expect(signatureAlgorithm({})).toBe('ed25519');
    expect(() => signatureAlgorithm({ CONCORDAT_LAB_SIGNATURES: 'md5' })).toThrow('must be ed25519 or hmac-sha256');
  });

  it.each(['ed25519', 'hmac-sha256'] as const)(
    'signs records by %s as the processes do, until its key is dropped',
    (algorithm) => {
      const files = new SecretFiles(path.join(directory, algorithm));
      const signingKeys = new LocalSigningKeys(files, signatureAlgorithm({ CONCORDAT_LAB_SIGNATURES: algorithm }));
      signingKeys.ensure(['coordinator', 'participant:bank-a']);
      const sender = 'participant:bank-a' as const;
      const reader = (): MessageSignatures =>
        new MessageSignatures({
          mode: 'require',
          cluster: 'local',
          sender: 'coordinator',
          clock: new SystemClock(),
          logger: silentLogger,
          signingKeyFile: signingKeys.signingKeyFile('coordinator'),
          trustedKeysFile: signingKeys.trustedKeysFile,
        });
      const record = { topic: 'concordat.local.replies', key: Buffer.from('ä key'), value: Buffer.from('{}') };
      const signed = () => {
        const header = signatureOf(
          { ...record, cluster: 'local', sender, signedAt: now },
          signingKeys.signingKey(sender),
        );
        return { ...record, headers: { [SIGNATURE_HEADER]: header } };
      };
      const old = signed();
      expect(reader().verify(old)).toEqual({ sender, signedAt: now });
      const pair = [record, { ...record, key: null }] as const;
      const parts = pair.map((one) => ({ ...one, cluster: 'local', sender, signedAt: now })) as [
        SignedParts,
        SignedParts,
      ];
      const headers = signaturesOfPair(parts, signingKeys.signingKey(sender));
      for (const [place, header] of headers.entries()) {
        const together = { ...pair[place]!, headers: { [SIGNATURE_HEADER]: header } };
        expect(reader().verify(together)).toEqual({ sender, signedAt: now });
      }
      signingKeys.signWith(sender, signingKeys.trustNewKey(sender));
      expect([reader().verify(old), reader().verify(signed())]).toMatchObject([{ sender }, { sender }]);
      signingKeys.dropOldKeys(sender);
      expect([reader().verify(old), reader().verify(signed())]).toMatchObject([{ reason: 'UNKNOWN_KEY' }, { sender }]);
    },
  );
});
