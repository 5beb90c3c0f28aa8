import {
  oneOf,
  readCertificates,
  readPrivateFile,
  type Environment,
  type FileKind,
  type Variable,
  type VariableProblem,
  type VariableValues,
} from '@concordat/foundation';
import { SSL_MODES, tlsFault, type PostgresConnectionSettings, type PostgresTls } from '@concordat/nestjs';

function variable<Value>(description: Variable<Value>): Variable<Value> {
  return description;
}

const path = {
  default: null,
  expected: 'the path of a readable file',
  parse: (text: string): string | undefined => (text.includes('\0') ? undefined : text),
};

/** How a bank reaches its database. The files are read for each connection. */
export const DATABASE_VARIABLES = {
  DATABASE_URL: variable({
    default: undefined,
    isSecret: true,
    expected: 'postgres://user:password@host:port/database',
    parse: parseDatabaseUrl,
  }),
  DATABASE_PASSWORD_FILE: variable(path),
  DATABASE_SSLMODE: variable({ default: null, ...oneOf(SSL_MODES) }),
  DATABASE_TLS_CA: variable(path),
  DATABASE_TLS_CERT: variable(path),
  DATABASE_TLS_KEY: variable(path),
} as const;

type Values = VariableValues<typeof DATABASE_VARIABLES>;

const KINDS = {
  DATABASE_PASSWORD_FILE: 'secret',
  DATABASE_TLS_CA: 'trusted',
  DATABASE_TLS_CERT: 'public',
  DATABASE_TLS_KEY: 'secret',
} as const satisfies Partial<Record<keyof Values, FileKind>>;

/** libpq's parameters of a URL, which say the same as the variables. */
const SSL_PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'];

function parseDatabaseUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, pathname } = new URL(text);
  const complete = hostname !== '' && pathname.length > 1;
  return complete && (protocol === 'postgres:' || protocol === 'postgresql:') ? text : undefined;
}

/** What of the settings contradicts itself, and which files cannot be used. */
export function checkDatabase(values: Partial<Values>, environment: Environment, problems: VariableProblem[]): void {
  const report = (name: keyof Values, expected: string): void => {
    problems.push({ variable: name, value: name === 'DATABASE_URL' ? undefined : environment[name], expected });
  };
  for (const [name, kind] of Object.entries(KINDS) as [keyof typeof KINDS, FileKind][]) {
    const file = values[name];
    const read = file === undefined ? undefined : readPrivateFile(file, kind);
    if (read && !read.ok) report(name, read.expected);
  }
  checkCertificate(values, report, problems);
  const { DATABASE_URL: url, DATABASE_SSLMODE: mode, DATABASE_PASSWORD_FILE: passwordFile } = values;
  const files = [values.DATABASE_TLS_CA, values.DATABASE_TLS_CERT, values.DATABASE_TLS_KEY];
  const { password = '', searchParams } = url === undefined ? {} : new URL(url);
  if (passwordFile !== undefined && password !== '') {
    report('DATABASE_PASSWORD_FILE', 'left out, or the password in DATABASE_URL: one of them counts');
  }
  const saysTls = mode !== undefined || files.some((file) => file !== undefined);
  if (saysTls && searchParams && SSL_PARAMETERS.some((name) => searchParams.has(name))) {
    report('DATABASE_SSLMODE', 'left out, with DATABASE_TLS_*, where DATABASE_URL has sslmode or files for it');
  }
  const fault = saysTls ? tlsFault(tlsOf(values)) : undefined;
  if (fault !== undefined) report('DATABASE_SSLMODE', `one that fits its files: the connection ${fault}`);
}

const FILES = { ca: 'DATABASE_TLS_CA', certificate: 'DATABASE_TLS_CERT', key: 'DATABASE_TLS_KEY' } as const;

/** What the server is going to be shown, where its mode is right: in PEM, of one pair, valid now. */
function checkCertificate(
  { DATABASE_TLS_CA: ca, DATABASE_TLS_CERT: certificate, DATABASE_TLS_KEY: key }: Partial<Values>,
  report: (name: keyof Values, expected: string) => void,
  problems: readonly VariableProblem[],
): void {
  if (certificate === undefined || key === undefined) return;
  const read = readCertificates({ ca, certificate, key }, { now: Date.now() });
  if (read.ok || read.file === 'revoked') return;
  const name = FILES[read.file];
  if (!problems.some(({ variable: reported }) => reported === name)) report(name, read.expected);
}

/** Where the database of the bank is, and how it shows who it is. */
export function databaseSettings(values: Values): PostgresConnectionSettings {
  const { DATABASE_URL: connectionString, DATABASE_PASSWORD_FILE: passwordFile, DATABASE_SSLMODE: mode } = values;
  const saysTls = (mode ?? values.DATABASE_TLS_CA ?? values.DATABASE_TLS_CERT) !== undefined;
  return {
    connectionString,
    ...(passwordFile !== undefined && { passwordFile }),
    ...(saysTls && { tls: tlsOf(values) }),
  };
}

/** Files alone mean that the server is verified. */
function tlsOf(values: Partial<Values>): PostgresTls {
  const { DATABASE_TLS_CA: ca, DATABASE_TLS_CERT: certificate, DATABASE_TLS_KEY: key } = values;
  return {
    mode: values.DATABASE_SSLMODE ?? 'verify-full',
    ...(ca !== undefined && { ca }),
    ...(certificate !== undefined && { certificate }),
    ...(key !== undefined && { key }),
  };
}
