import type { X509Certificate } from 'node:crypto';
import {
  certificateUri,
  certificateUris,
  nodeNameFault,
  oneOf,
  readCertificates,
  type CertificateFile,
  type CertificatePaths,
  type Environment,
  type VariableProblem,
  type VariableValues,
} from '@concordat/foundation';
import { wallTime } from './auth/wall-time.js';
import { variable } from './described-variable.js';

/**
 * `accept`: plain text is taken, too, and spoken to the other nodes; `prefer`: it is still taken; `require`: it is not
 */
export type TlsMode = 'accept' | 'prefer' | 'require';

/** What to set for TLS, as errors and warnings say it. */
export const RAFT_TLS_FILES = 'CONCORDAT_RAFT_TLS_CA, CONCORDAT_RAFT_TLS_CERT and CONCORDAT_RAFT_TLS_KEY';
export const HTTP_TLS_FILES = 'CONCORDAT_HTTP_TLS_CA, CONCORDAT_HTTP_TLS_CERT and CONCORDAT_HTTP_TLS_KEY';

/** Whether links that show no certificate may listen beyond loopback while REST asks who is there. */
export type PlainLinks = 'refuse' | 'accept';

/** TLS of the REST interface and of the direct streams. */
export interface ServerTls {
  readonly paths: CertificatePaths;
  /** whether connections without a certificate of a client are refused */
  readonly needsClientCertificate: boolean;
  readonly mode: TlsMode;
  /** whether clients of REST may choose HTTP/2 */
  readonly http2: boolean;
}

/** TLS between the nodes. */
export interface RaftTls {
  readonly paths: CertificatePaths;
  readonly mode: TlsMode;
}

const path = {
  default: null,
  expected: 'the path of a readable file',
  parse: (text: string): string | undefined => (text.includes('\0') ? undefined : text),
};

export const TLS_VARIABLES = {
  CONCORDAT_RAFT_TLS_CA: variable({
    meaning:
      'file with the certificate of the authority that signs the certificates of all nodes; switches mutual TLS between them on. This and all files of TLS are read again when they change',
    ...path,
  }),
  CONCORDAT_RAFT_TLS_CERT: variable({
    meaning: 'file with the certificate of this node, with the name concordat://<cluster>/node/<id> (SAN, URI) in it',
    ...path,
  }),
  CONCORDAT_RAFT_TLS_KEY: variable({
    meaning: 'file with the private key of that certificate, of mode 0600',
    ...path,
  }),
  CONCORDAT_RAFT_TLS: variable({
    meaning:
      'for the change to TLS between the nodes, node by node: accept: a node takes plain text, too, and speaks it to the others; prefer: it speaks TLS; require: nobody may speak plain text',
    default: 'require',
    ...oneOf(['accept', 'prefer', 'require'] as const),
  }),
  CONCORDAT_HTTP_TLS_CERT: variable({
    meaning:
      'file with the certificate of the REST interface and of the direct streams; switches TLS on there. With _CA it must have the name concordat://<cluster>/node/<id> (SAN, URI), and the host names of the node',
    ...path,
  }),
  CONCORDAT_HTTP_TLS_KEY: variable({
    meaning: 'file with the private key of that certificate, of mode 0600',
    ...path,
  }),
  CONCORDAT_HTTP_TLS_CA: variable({
    meaning:
      'file with the certificates of the authorities whose certificates say who a client, a participant or another node is; required with direct streams',
    ...path,
  }),
  CONCORDAT_HTTP_TLS_CLIENTS: variable({
    meaning: 'whether a client must show a certificate (require), or may show a token instead (request)',
    default: 'request',
    ...oneOf(['request', 'require'] as const),
  }),
  CONCORDAT_HTTP2: variable({
    meaning:
      'whether clients of the REST interface may choose HTTP/2 (on), or are offered HTTP/1.1 only (off); HTTP/2 is spoken over TLS only',
    default: 'on',
    ...oneOf(['on', 'off'] as const),
  }),
  CONCORDAT_TLS: variable({
    meaning:
      'for the change to TLS, node by node: accept: REST and direct streams take plain text, too, and nodes speak plain text to each other there; prefer: nodes speak TLS; require: nobody may speak plain text',
    default: 'require',
    ...oneOf(['accept', 'prefer', 'require'] as const),
  }),
  CONCORDAT_PLAIN_LINKS: variable({
    meaning:
      'accept: other nodes and participants that speak plain text are believed beyond loopback, too, and new members need no certificate; refuse: a process that would have to believe them does not start, unless CONCORDAT_AUTH is none',
    default: 'refuse',
    ...oneOf(['refuse', 'accept'] as const),
  }),
  CONCORDAT_REVOKED_FILE: variable({
    meaning:
      'file with the serial numbers of certificates that REST, direct streams and the other nodes take no longer, one a line in hexadecimal digits; read again when it changes',
    ...path,
  }),
} as const;

type Values = VariableValues<typeof TLS_VARIABLES>;

/** Which node of which cluster a certificate must name. */
export interface OwnName {
  readonly clusterName: string;
  readonly nodeId: number;
}

interface Use {
  readonly prefix: 'CONCORDAT_RAFT_TLS' | 'CONCORDAT_HTTP_TLS';
  readonly needed: readonly ('_CA' | '_CERT' | '_KEY')[];
}

const USES: readonly Use[] = [
  { prefix: 'CONCORDAT_RAFT_TLS', needed: ['_CA', '_CERT', '_KEY'] },
  { prefix: 'CONCORDAT_HTTP_TLS', needed: ['_CERT', '_KEY'] },
];
const SUFFIXES: Readonly<Partial<Record<CertificateFile, '_CA' | '_CERT' | '_KEY'>>> = {
  ca: '_CA',
  certificate: '_CERT',
  key: '_KEY',
};

/** All files of a use or none; they must match each other and this node. */
export function checkTls(
  values: Partial<Values> & { readonly CONCORDAT_LINK?: string },
  environment: Environment,
  { clusterName, nodeId }: { readonly [Name in keyof OwnName]: OwnName[Name] | undefined },
  problems: VariableProblem[],
): void {
  const report = (name: string, expected: string): void => {
    const value = environment[name]?.trim() ? environment[name] : undefined;
    problems.push({ variable: name, value, expected });
  };
  for (const { prefix, needed } of USES) {
    const told = (['_CA', '_CERT', '_KEY'] as const).filter((suffix) => values[`${prefix}${suffix}`] !== undefined);
    if (told.length === 0) continue;
    const missing = needed.filter((suffix) => !told.includes(suffix));
    for (const suffix of missing) {
      const names = told.map((known) => `${prefix}${known}`).join(' and ');
      report(`${prefix}${suffix}`, `set, too: ${names} alone is not enough`);
    }
    if (missing.length > 0 || clusterName === undefined || nodeId === undefined) continue;
    const paths = (prefix === 'CONCORDAT_RAFT_TLS' ? raftPaths(values) : httpPaths(values))!;
    const fault = paths.ca === undefined ? undefined : ownCertificateFault({ clusterName, nodeId });
    const read = readCertificates(paths, { now: wallTime(), fault });
    if (!read.ok) {
      const suffix = SUFFIXES[read.file];
      const name = suffix === undefined ? 'CONCORDAT_REVOKED_FILE' : `${prefix}${suffix}`;
      // both uses have the same one
      if (!problems.some(({ variable: reported }) => reported === name)) report(name, read.expected);
    }
  }
  checkServerTls(values, report);
}

function checkServerTls(
  values: Partial<Values> & { readonly CONCORDAT_LINK?: string },
  report: (name: string, expected: string) => void,
): void {
  const { CONCORDAT_HTTP_TLS_CERT: certificate, CONCORDAT_HTTP_TLS_CA: ca, CONCORDAT_LINK: link } = values;
  const hasRaft = values.CONCORDAT_RAFT_TLS_CA !== undefined;
  if (values.CONCORDAT_RAFT_TLS !== 'require' && !hasRaft) {
    report('CONCORDAT_RAFT_TLS', 'left out, or CONCORDAT_RAFT_TLS_CA, _CERT and _KEY set, too');
  }
  if (certificate !== undefined && ca === undefined) {
    if (link !== undefined && link !== 'kafka') {
      report('CONCORDAT_HTTP_TLS_CA', `set, too: direct streams (CONCORDAT_LINK=${link}) need to know who connects`);
    }
    if (values.CONCORDAT_HTTP_TLS_CLIENTS === 'require') {
      report('CONCORDAT_HTTP_TLS_CA', 'set, too: it says which certificates of clients are right');
    }
    if (values.CONCORDAT_REVOKED_FILE !== undefined && !hasRaft) {
      report('CONCORDAT_HTTP_TLS_CA', 'set, too: without it no certificates are asked for that could be revoked');
    }
  }
  if (certificate !== undefined) return;
  for (const [name, plain] of [
    ['CONCORDAT_HTTP_TLS_CLIENTS', 'request'],
    ['CONCORDAT_HTTP2', 'on'],
    ['CONCORDAT_TLS', 'require'],
    ['CONCORDAT_REVOKED_FILE', hasRaft ? values.CONCORDAT_REVOKED_FILE : undefined],
  ] as const) {
    if (values[name] !== plain) report(name, 'left out, or CONCORDAT_HTTP_TLS_CERT and _KEY set, too');
  }
}

/** What a certificate of this node lacks, as the end of "it must be …". */
export function ownCertificateFault(own: OwnName): (certificate: X509Certificate) => string | undefined {
  return ({ subjectAltName }) => {
    const uris = certificateUris(subjectAltName);
    if (uris.length === 1 && nodeNameFault(subjectAltName, own.clusterName, own.nodeId) === undefined) return undefined;
    const uri = certificateUri({ clusterName: own.clusterName, role: 'node', name: String(own.nodeId) });
    return `a certificate of this node: with the URI ${uri} among its names (SAN), and no other one of the scheme concordat`;
  };
}

function raftPaths(values: Partial<Values>): CertificatePaths | undefined {
  const { CONCORDAT_RAFT_TLS_CA: ca, CONCORDAT_RAFT_TLS_CERT: certificate, CONCORDAT_RAFT_TLS_KEY: key } = values;
  if (ca === undefined || certificate === undefined || key === undefined) return undefined;
  return { ca, certificate, key, revoked: values.CONCORDAT_REVOKED_FILE };
}

/** Undefined: plain text. */
export function raftTls(values: Values): RaftTls | undefined {
  const paths = raftPaths(values);
  return paths && { paths, mode: values.CONCORDAT_RAFT_TLS };
}

function httpPaths(values: Partial<Values>): CertificatePaths | undefined {
  const { CONCORDAT_HTTP_TLS_CERT: certificate, CONCORDAT_HTTP_TLS_KEY: key } = values;
  if (certificate === undefined || key === undefined) return undefined;
  return { ca: values.CONCORDAT_HTTP_TLS_CA, certificate, key, revoked: values.CONCORDAT_REVOKED_FILE };
}

/** Undefined: plain text. */
export function serverTls(values: Values): ServerTls | undefined {
  const paths = httpPaths(values);
  return (
    paths && {
      paths,
      needsClientCertificate: values.CONCORDAT_HTTP_TLS_CLIENTS === 'require',
      mode: values.CONCORDAT_TLS,
      http2: values.CONCORDAT_HTTP2 === 'on',
    }
  );
}
