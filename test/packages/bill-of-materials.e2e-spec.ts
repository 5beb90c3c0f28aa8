import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readWorkspaces } from '../../scripts/workspaces.mjs';
import { pack } from './application.js';

jest.setTimeout(300_000);

const ROOT = path.resolve(import.meta.dirname, '../..');
const json = <Content>(file: string): Content => JSON.parse(readFileSync(path.join(ROOT, file), 'utf8')) as Content;

interface Component {
  readonly 'bom-ref': string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly { readonly license?: { readonly id?: string }; readonly expression?: string }[];
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
}

interface Bill {
  readonly bomFormat: string;
  readonly specVersion: string;
  readonly serialNumber: string;
  readonly version: number;
  readonly metadata: { readonly timestamp: string; readonly component: Pick<Component, 'name' | 'bom-ref'> };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

interface Locked {
  readonly name?: string;
  readonly version: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const packages = readWorkspaces(ROOT).map(({ manifest }) => manifest);
const own = packages.map(({ name }) => name);
/** by `name@version` what the lock file says of it */
const locked = new Map(
  Object.entries(json<{ packages: Readonly<Record<string, Locked>> }>('package-lock.json').packages).map(
    ([place, entry]) => [`${entry.name ?? place.replace(/^.*node_modules\//, '')}@${entry.version}`, entry],
  ),
);

describe('the bill of materials of the packages', () => {
  let bill: Bill;
  beforeAll(() => {
    pack();
    bill = json('dist/packages/sbom.cdx.json');
  });

  const references = (): string[] => bill.components.map((component) => component['bom-ref']);
  const dependsOn = (reference: string): readonly string[] =>
    bill.dependencies.find(({ ref }) => ref === reference)?.dependsOn ?? [];

  it('is one of CycloneDX, each of whose references leads somewhere', () => {
    expect(bill).toMatchObject({ bomFormat: 'CycloneDX', specVersion: expect.stringMatching(/^1\.\d$/), version: 1 });
    expect(bill.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(Date.parse(bill.metadata.timestamp)).toBeGreaterThan(0);
    expect(bill.metadata.component.name).toBe('concordat-repository');
    const known = new Set(references());
    expect(known.size).toBe(bill.components.length);
    const named = bill.dependencies.flatMap((entry) => entry.dependsOn);
    expect(named.filter((reference) => !known.has(reference))).toEqual([]);
    expect(references().filter((reference) => !bill.dependencies.some(({ ref }) => ref === reference))).toEqual([]);
  });

  it('says of each part its name, version, address, licence, and the hash of the lock file', () => {
    const wrong = bill.components.filter((component) => {
      const { name, version, purl, licenses, hashes = [], type } = component;
      const entry = locked.get(`${name}@${version}`);
      const [scope, rest] = name.startsWith('@') ? name.slice(1).split('/') : [undefined, name];
      const address = `pkg:npm/${scope === undefined ? '' : `%40${scope}/`}${rest}@${version}`;
      const hasLicence = licenses.some(({ license, expression }) => (license?.id ?? expression ?? '') !== '');
      const hash = Buffer.from(hashes[0]?.content ?? '', 'hex').toString('base64');
      const isHashed = own.includes(name) || entry?.integrity === `sha512-${hash}`;
      return !(type === 'library' && entry && purl === address && hasLicence && isHashed);
    });
    expect(wrong).toEqual([]);
  });

  it('has every package, and all that each part of it needs', () => {
    const all = new Set(references());
    expect(packages.filter(({ name, version }) => !all.has(`${name}@${version}`))).toEqual([]);
    const missing = bill.components.flatMap((component) => {
      const { name, version, 'bom-ref': reference } = component;
      const manifest = packages.find((one) => one.name === name);
      const needed = Object.keys((manifest ?? locked.get(`${name}@${version}`))?.dependencies ?? {});
      const named = dependsOn(reference).map((one) => one.replace(/@[^@]*$/, ''));
      return needed.filter((one) => !named.includes(one)).map((one) => `${reference} needs ${one}`);
    });
    expect(missing).toEqual([]);
    expect(references()).toEqual(
      expect.arrayContaining(['pg@', 'kafkajs@', '@grpc/grpc-js@'].map((start) => expect.stringContaining(start))),
    );
  });

  it('has nothing that is for the development only', () => {
    const { devDependencies } = json<{ devDependencies: Readonly<Record<string, string>> }>('package.json');
    const needed = new Set(bill.dependencies.flatMap((entry) => entry.dependsOn));
    const foreign = references().filter(
      (reference) => !needed.has(reference) && !own.includes(reference.replace(/@[^@]*$/, '')),
    );
    expect(foreign).toEqual([]);
    for (const name of ['jest', 'typescript', 'prettier']) {
      expect(Object.keys(devDependencies)).toContain(name);
      expect(bill.components.map((component) => component.name)).not.toContain(name);
    }
  });
});
