import type { Environment, VariableProblem } from '../environment.js';
import { readCertificates } from './certificate-files.js';
import type { TlsFilePaths } from './tls-option.js';

const path = {
  default: null,
  expected: 'the path of a readable file',
  parse: (text: string): string | undefined => (text.includes('\0') ? undefined : text),
};

/** Environment variables of a service that calls coordinators over TLS, and shows them a certificate. */
export const CLIENT_TLS_VARIABLES = {
  CONCORDAT_CLIENT_TLS_CA: path,
  CONCORDAT_CLIENT_TLS_CERT: path,
  CONCORDAT_CLIENT_TLS_KEY: path,
} as const;

interface Values {
  readonly CONCORDAT_CLIENT_TLS_CA?: string | undefined;
  readonly CONCORDAT_CLIENT_TLS_CERT?: string | undefined;
  readonly CONCORDAT_CLIENT_TLS_KEY?: string | undefined;
}

const NAMES = ['CONCORDAT_CLIENT_TLS_CA', 'CONCORDAT_CLIENT_TLS_CERT', 'CONCORDAT_CLIENT_TLS_KEY'] as const;
const VARIABLE_OF = {
  ca: NAMES[0],
  certificate: NAMES[1],
  key: NAMES[2],
  revoked: NAMES[1], // not asked for
} as const;

/**
 * What of the settings contradicts itself, and what is wrong with the files: all three or none, and all URLs of
 * coordinators with https.
 */
export function checkClientTls(
  values: Values & { readonly CONCORDAT_COORDINATORS?: readonly string[] | undefined },
  environment: Environment,
  problems: VariableProblem[],
): void {
  const report = (variable: string, expected: string): void =>
    void problems.push({ variable, value: environment[variable]?.trim() || undefined, expected });
  const told = NAMES.filter((name) => values[name] !== undefined);
  const missing = NAMES.filter((name) => values[name] === undefined);
  if (told.length > 0) {
    for (const name of missing) report(name, `set, too: ${told.join(' and ')} alone is not enough`);
  }
  const paths = clientTlsPaths(values);
  const read = paths && readCertificates(paths, { now: Date.now() });
  if (read && !read.ok) report(VARIABLE_OF[read.file], read.expected);
  const plain = values.CONCORDAT_COORDINATORS?.find((url) => !url.startsWith('https:'));
  if (paths && plain !== undefined) {
    report('CONCORDAT_COORDINATORS', `URLs with https: with ${NAMES[0]} the coordinators speak TLS`);
  }
}

/** Undefined: plain text, or the authorities of Node.js and no certificate. */
export function clientTlsPaths(values: Values): TlsFilePaths | undefined {
  const [ca, certificate, key] = NAMES.map((name) => values[name]);
  return ca !== undefined && certificate !== undefined && key !== undefined ? { ca, certificate, key } : undefined;
}
