import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLogger, SystemClock, tlsFiles, type FileKind } from '@concordat/foundation';
import { markdownTable } from '@concordat/foundation/testing';
import { createSignatures, kafkaSecurityOptions } from '@concordat/messaging';
import { contextKeysOf, postgresConnection } from '@concordat/participant';
import {
  CLUSTER,
  rightModeOf,
  SENDER,
  SERVICE_FILES,
  ServiceFiles,
  type ServiceFile,
  type ServiceFilePaths,
} from '../../support/service-files.js';

/** A place where a service, or a command, is told the path of a file. */
interface Place {
  readonly file: ServiceFile;
  /** what is said of the file there, by an error or in the log; empty: it is taken */
  readonly told: (paths: ServiceFilePaths) => string | Promise<string>;
}

const COORDINATORS = ['https://node-1.example:8081'];

/** Of a service of one's own, in the order of the table in docs/security.md. */
const PLACES: Readonly<Record<string, Place>> = {
  '`ca` of `tlsFiles`': { file: 'authority', told: tlsOfCoordinators },
  '`certificate` of `tlsFiles`': { file: 'certificate', told: tlsOfCoordinators },
  '`key` of `tlsFiles`': { file: 'key', told: tlsOfCoordinators },
  '`signingKeyFile` of `signatures`': { file: 'signingKey', told: signatures },
  '`trustedKeysFile` of `signatures`': { file: 'trustedKeys', told: signatures },
  '`contextKeyFile`': { file: 'contextKeys', told: ({ contextKeys }) => contexts({ contextKeyFile: contextKeys }) },
  '`CONCORDAT_CONTEXT_KEY_FILE`': {
    file: 'contextKeys',
    told: ({ contextKeys }) => contexts({ environment: { CONCORDAT_CONTEXT_KEY_FILE: contextKeys } }),
  },
  '`tls.ca` of `kafkaSecurityOptions`': { file: 'authority', told: kafka },
  '`tls.certificate` of `kafkaSecurityOptions`': { file: 'certificate', told: kafka },
  '`tls.key` of `kafkaSecurityOptions`': { file: 'key', told: kafka },
  '`sasl.username` of `kafkaSecurityOptions`': { file: 'password', told: kafka },
  '`sasl.password` of `kafkaSecurityOptions`': { file: 'password', told: kafka },
  '`tls.ca` of `postgres`': { file: 'authority', told: tlsOfPostgres },
  '`tls.certificate` of `postgres`': { file: 'certificate', told: tlsOfPostgres },
  '`tls.key` of `postgres`': { file: 'key', told: tlsOfPostgres },
  '`sslrootcert` of a URL of PostgreSQL': { file: 'authority', told: urlOfPostgres },
  '`sslcert` of a URL of PostgreSQL': { file: 'certificate', told: urlOfPostgres },
  '`sslkey` of a URL of PostgreSQL': { file: 'key', told: urlOfPostgres },
  '`passwordFile` of `postgres`, `--database-password-file` of `concordat`': {
    file: 'password',
    told: async ({ password }) => {
      const asked = postgresConnection({ connectionString: 'postgres://orders@db/orders', passwordFile: password });
      return messageOf(() => (asked.password as () => Promise<string>)());
    },
  },
};

async function messageOf(ask: () => unknown): Promise<string> {
  try {
    await ask();
    return '';
  } catch (error) {
    const { message, hint = '' } = error as { readonly message: string; readonly hint?: string };
    return `${message} ${hint}`;
  }
}

function tlsOfCoordinators({ authority: ca, certificate, key }: ServiceFilePaths): Promise<string> {
  return messageOf(() => tlsFiles({ ca, certificate, key })());
}

function signatures({ signingKey: signingKeyFile, trustedKeys: trustedKeysFile }: ServiceFilePaths): Promise<string> {
  const own = { cluster: CLUSTER, sender: SENDER, clock: new SystemClock(), logger: silentLogger } as const;
  return messageOf(() => createSignatures({ mode: 'require', signingKeyFile, trustedKeysFile }, own));
}

function contexts(given: Partial<Parameters<typeof contextKeysOf>[0]>): Promise<string> {
  return messageOf(() => contextKeysOf({ cluster: CLUSTER, coordinators: COORDINATORS, environment: {}, ...given })());
}

function kafka({ authority: ca, certificate, key, password }: ServiceFilePaths): string {
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const { ssl, sasl } = kafkaSecurityOptions(
    {
      tls: { ca, certificate, key },
      sasl: { mechanism: 'plain', username: { file: password }, password: { file: password } },
    },
    { ...silentLogger, error: note },
  );
  JSON.stringify([ssl, sasl]); // reads each member, as its client does for a connection
  return lines.join('\n');
}

function tlsOfPostgres({ authority: ca, certificate, key }: ServiceFilePaths): Promise<string> {
  return connect({
    connectionString: 'postgres://orders@db/orders',
    tls: { mode: 'verify-full', ca, certificate, key, negotiation: 'direct' },
  });
}

function urlOfPostgres({ authority, certificate, key }: ServiceFilePaths): Promise<string> {
  const files = new URLSearchParams({ sslrootcert: authority, sslcert: certificate, sslkey: key });
  const connectionString = `postgres://orders@db/orders?sslmode=verify-full&sslnegotiation=direct&${files.toString()}`;
  return connect({ connectionString });
}

/** Of the files; what a server that hangs up says does not count. */
async function connect(settings: Parameters<typeof postgresConnection>[0]): Promise<string> {
  const { stream } = postgresConnection(settings);
  const socket = (stream as () => Socket)();
  socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [error] = (await once(socket, 'error').catch((thrown: unknown) => [thrown])) as [Error];
  return (error as { readonly code?: string }).code === 'DATABASE_SECRET_UNUSABLE'
    ? messageOf(() => Promise.reject(error))
    : '';
}

const DOCUMENT = path.resolve(import.meta.dirname, '../../../docs/security.md');
const START = '<!-- made from test/unit/security-surface/service-files.spec.ts; do not edit -->\n';
const END = '\n<!-- end of what is made -->';
const MEANINGS: Readonly<Record<FileKind, readonly [string, string]>> = {
  secret: ['nobody but its owner may read it', '0600 (0640 if it belongs to root)'],
  trusted: ['nobody but its owner may write it', '0644'],
  public: ['everybody may read it; it proves nothing without its key', 'any'],
};
function withTable(document: string): string {
  const [before, rest, ...more] = document.split(START);
  if (rest === undefined || more.length > 0) throw new TypeError('the marks are not there once');
  const rows = Object.entries(PLACES).map(([name, { file }]) => [name, ...MEANINGS[SERVICE_FILES[file]]]);
  return `${before}${START}\n${markdownTable(['file', 'rule', 'mode'], rows)}\n${rest.slice(rest.indexOf(END))}`;
}

let files: ServiceFiles;
let server: Server;

beforeAll(async () => {
  files = new ServiceFiles();
  server = createServer((socket) => socket.on('error', () => undefined).end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(() => {
  server.close();
  files.remove();
});

describe('the files of a service', () => {
  it.each(Object.entries(PLACES))('%s: others may not touch more than they should', async (_name, { file, told }) => {
    const { paths } = files;
    expect(await told(paths)).toBe('');
    const found = await files.whileOpen(file, () => told(paths));
    if (SERVICE_FILES[file] === 'public') return expect(found).toBe('');
    expect(found).toContain(paths[file]);
    expect(found).toContain(rightModeOf(file));
  });

  it('stand in docs/security.md (CONCORDAT_UPDATE_DOCS=1 writes the table anew)', () => {
    const expected = withTable(readFileSync(DOCUMENT, 'utf8'));
    if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, expected);
    expect(readFileSync(DOCUMENT, 'utf8')).toBe(expected);
  });
});
