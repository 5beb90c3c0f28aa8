import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatProblems } from '@concordat/foundation';
import { parse } from 'yaml';
import { createApiToken } from './auth/credentials/api-tokens.js';
import { parseConfig, type Config } from './config.js';
import { testConfig } from './http/testing/test-node.js';
import { TestCertificates } from './http/testing/test-certificates.js';
import { openListenerProblems, openListenerWarnings } from './open-listeners.js';

type Variables = Readonly<Record<string, string>>;

let files: TestCertificates;
/** Credentials at REST. */
let tokens: Variables;
/** TLS at REST and direct streams, and between the nodes. */
let served: Variables;
let linked: Variables;
beforeAll(() => {
  files = new TestCertificates();
  const { line } = createApiToken({ name: 'orders', roles: ['client'] });
  tokens = { CONCORDAT_AUTH: 'required', CONCORDAT_AUTH_TOKEN_FILE: files.write('tokens', line) };
  const { CONCORDAT_REVOKED_FILE: _revoked, ...own } = files.node(1);
  served = own;
  linked = Object.fromEntries(Object.entries(own).map(([name, file]) => [name.replace('_HTTP_', '_RAFT_'), file]));
});
afterAll(() => files.remove());

/** Listens on loopback, unless the addresses say otherwise. */
function at(addresses: { http?: string; raft?: string; direct?: string }, ...variables: Variables[]): Config {
  const { http = '127.0.0.1:8081', raft = '127.0.0.1:9081', direct = '127.0.0.1:7081' } = addresses;
  return testConfig({
    CONCORDAT_PEERS: `1=${raft}/${http}`,
    CONCORDAT_DIRECT: direct,
    CONCORDAT_LINK: 'both',
    ...Object.assign({}, ...variables),
  });
}

const problemsOf = (config: Config, environment: Variables = {}): string =>
  formatProblems(openListenerProblems(config, environment));
const variablesOf = (config: Config): string[] => openListenerProblems(config, {}).map(({ variable }) => variable);

const LOOPBACK = ['127.0.0.1', '127.9.9.9', 'localhost', '[::1]'];
const BEYOND = ['0.0.0.0', '10.0.0.1', 'host-1', '[::]', '127.0.0.1.example'];

describe('REST without authentication', () => {
  it.each(LOOPBACK)('may listen on %s', (host) => expect(variablesOf(at({ http: `${host}:8081` }))).toEqual([]));

  it.each(BEYOND)('may not listen on %s: it says what to set', (host) => {
    const problems = problemsOf(at({ http: `${host}:8081` }));
    expect(problems).toContain(
      `CONCORDAT_AUTH is not set; it must be "none" to let everybody in who reaches ${host}:8081`,
    );
    expect(problems).toContain('CONCORDAT_AUTH_TOKEN_FILE ("concordat token create" makes tokens)');
  });

  it('may ask for credentials, or be open when that is said aloud', () => {
    const http = '0.0.0.0:8081';
    expect(variablesOf(at({ http }, tokens))).toEqual([]);
    expect(variablesOf(at({ http }, { CONCORDAT_AUTH: 'none' }))).toEqual([]);
  });
});

describe('links in plain text', () => {
  it.each(LOOPBACK)('may listen on %s', (host) => {
    expect(variablesOf(at({ raft: `${host}:9081`, direct: `${host}:7081` }, tokens))).toEqual([]);
  });

  it.each(BEYOND)('may not listen on %s while REST asks who is there: it says what to set', (host) => {
    expect(problemsOf(at({ raft: `${host}:9081` }, tokens))).toBe(
      `CONCORDAT_PLAIN_LINKS is not set; it must be "accept" to believe anyone who reaches ${host}:9081 as another ` +
        'coordinator, in plain text and beyond loopback; or set CONCORDAT_RAFT_TLS_CA, CONCORDAT_RAFT_TLS_CERT and ' +
        'CONCORDAT_RAFT_TLS_KEY',
    );
    const direct = problemsOf(at({ direct: `${host}:7081` }, tokens));
    expect(direct).toContain(`anyone who reaches ${host}:7081 as any participant, in plain text`);
    expect(direct).toContain('set CONCORDAT_HTTP_TLS_CA, CONCORDAT_HTTP_TLS_CERT and CONCORDAT_HTTP_TLS_KEY');
  });

  it('may not listen beyond loopback either where REST asks nobody, because it is on loopback', () => {
    const both = at({ raft: '0.0.0.0:9081', direct: '0.0.0.0:7081' });
    expect(variablesOf(both)).toEqual(['CONCORDAT_PLAIN_LINKS']);
    expect(problemsOf(both)).toContain(
      'reaches 0.0.0.0:9081 as another coordinator or 0.0.0.0:7081 as any participant',
    );
  });

  it('are not there with Kafka alone, nor over TLS', () => {
    const [raft, direct] = ['0.0.0.0:9081', '0.0.0.0:7081'];
    expect(variablesOf(at({ direct }, tokens, { CONCORDAT_LINK: 'kafka' }))).toEqual([]);
    expect(variablesOf(at({ raft }, tokens, linked))).toEqual([]);
    expect(variablesOf(at({ direct }, tokens, served))).toEqual([]);
    expect(variablesOf(at({ raft }, tokens, served))).toEqual(['CONCORDAT_PLAIN_LINKS']);
    expect(variablesOf(at({ direct }, tokens, linked))).toEqual(['CONCORDAT_PLAIN_LINKS']);
  });

  it.each(['accept', 'prefer'])('are there beside TLS, too, on the way to it: %s', (mode) => {
    const raft = at({ raft: '0.0.0.0:9081' }, tokens, linked, { CONCORDAT_RAFT_TLS: mode });
    expect(problemsOf(raft)).toMatch(/or set CONCORDAT_RAFT_TLS=require$/);
    const direct = at({ direct: '0.0.0.0:7081' }, tokens, served, { CONCORDAT_TLS: mode });
    expect(problemsOf(direct)).toMatch(/or set CONCORDAT_TLS=require$/);
    const said = { CONCORDAT_PLAIN_LINKS: 'accept', CONCORDAT_RAFT_TLS: mode };
    expect(variablesOf(at({ raft: '0.0.0.0:9081' }, tokens, linked, said))).toEqual([]);
  });

  it('may listen anywhere when that is said aloud', () => {
    const addresses = { raft: '0.0.0.0:9081', direct: '0.0.0.0:7081' };
    const said = { CONCORDAT_PLAIN_LINKS: 'accept' };
    expect(variablesOf(at(addresses, tokens, said))).toEqual([]);
    expect(variablesOf(at(addresses, said))).toEqual([]);
    expect(variablesOf(at(addresses, { CONCORDAT_AUTH: 'none' }))).toEqual([]);
  });

  it('shows what was set instead', () => {
    const refused = { CONCORDAT_PLAIN_LINKS: 'refuse' };
    const problems = problemsOf(at({ raft: '0.0.0.0:9081' }, tokens, refused), refused);
    expect(problems).toMatch(/^CONCORDAT_PLAIN_LINKS="refuse" is wrong; it must be "accept"/);
  });
});

describe('the warnings at the start', () => {
  const require = { mode: 'require' } as Config['signatures'];

  it('repeat what was said aloud', () => {
    const open = openListenerWarnings(at({ raft: '0.0.0.0:9081' }, { CONCORDAT_AUTH: 'none' }));
    expect(open).toEqual(['CONCORDAT_AUTH is none: everybody who reaches the REST interface may do everything']);
    const plain = at({ raft: '0.0.0.0:9081', direct: '0.0.0.0:7081' }, tokens, { CONCORDAT_PLAIN_LINKS: 'accept' });
    expect(openListenerWarnings({ ...plain, signatures: require })).toEqual([
      'CONCORDAT_PLAIN_LINKS is accept: anyone who reaches 0.0.0.0:9081 as another coordinator or 0.0.0.0:7081 as any ' +
        'participant, is believed without a proof',
    ]);
  });

  it('say that messages over Kafka are believed as they are, while REST asks who is there', () => {
    const [unsigned, ...others] = openListenerWarnings(at({}, tokens));
    expect(others).toEqual([]);
    expect(unsigned).toContain('messages over Kafka are believed without a signature');
    expect(unsigned).toContain('set CONCORDAT_SIGNATURES, CONCORDAT_SIGNING_KEY_FILE and CONCORDAT_TRUSTED_KEYS_FILE');
    const warn = { mode: 'warn' } as Config['signatures'];
    const [warned] = openListenerWarnings({ ...at({}, tokens), signatures: warn });
    expect(warned).toContain('set CONCORDAT_SIGNATURES=require');
  });

  it('say nothing where there is nothing to say', () => {
    expect(openListenerWarnings({ ...at({}, tokens), signatures: require })).toEqual([]);
    expect(openListenerWarnings(at({}, tokens, { CONCORDAT_LINK: 'direct' }))).toEqual([]);
    expect(openListenerWarnings(at({}))).toEqual([]);
  });
});

describe('the group of docs/operations.md', () => {
  it('starts as it is shown', () => {
    const text = readFileSync(path.resolve(import.meta.dirname, '../../../docs/operations.md'), 'utf8');
    const [, block = ''] = /A group of its own needs[^]*?```sh\n([^]*?)```/.exec(text) ?? [];
    const shown = Object.fromEntries([...block.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name!, value!]));
    expect(Object.keys(shown).length).toBeGreaterThan(8);
    const own = files.node(1, { clusterName: 'production' });
    const real: Variables = {
      '/run/secrets/tokens': tokens['CONCORDAT_AUTH_TOKEN_FILE']!,
      '/tls/ca.pem': own['CONCORDAT_HTTP_TLS_CA']!,
      '/tls/node-1.pem': own['CONCORDAT_HTTP_TLS_CERT']!,
      '/tls/node-1.key': own['CONCORDAT_HTTP_TLS_KEY']!,
    };
    const environment = Object.fromEntries(
      Object.entries(shown).map(([name, value]) => [name, value.startsWith('/') ? (real[value] ?? value) : value]),
    );
    const result = parseConfig(environment);
    expect(result).toMatchObject({ ok: true });
    expect(result.ok && openListenerProblems(result.config, environment)).toEqual([]);
  });
});

describe('docker-compose.yml', () => {
  const file = path.resolve(import.meta.dirname, '../../../docker-compose.yml');
  const { services } = parse(readFileSync(file, 'utf8'), { merge: true }) as {
    services: Readonly<Record<string, { readonly environment: Variables }>>;
  };
  const nodes = Object.keys(services).filter((name) => name.startsWith('coordinator-'));
  const starts = nodes.flatMap((node) => ['kafka', 'direct', 'both'].map((link) => [node, link] as const));

  it('has coordinators', () => expect(nodes).toHaveLength(3));

  it.each(starts)('starts %s with the link %s, because it says aloud that nobody is asked', (node, link) => {
    const environment: Variables = { ...services[node]!.environment, CONCORDAT_LINK: link };
    const config = configOf(environment);
    expect(openListenerProblems(config, environment)).toEqual([]);
    expect(openListenerWarnings(config)).toEqual([expect.stringContaining('CONCORDAT_AUTH is none')]);
    const { ['CONCORDAT_AUTH']: _none, ...silent } = environment;
    expect(variablesOf(configOf(silent))).toEqual(['CONCORDAT_AUTH', 'CONCORDAT_PLAIN_LINKS']);
  });

  function configOf(environment: Variables): Config {
    const result = parseConfig(environment);
    if (!result.ok) throw new TypeError(formatProblems(result.problems));
    return result.config;
  }
});
