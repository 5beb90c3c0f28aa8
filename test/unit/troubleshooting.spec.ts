import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { isTestCode } from '../architecture/import-table.js';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** A code as it stands in the sources: two words or more, in capitals. */
const CODE = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/;
/** A code of one word; beside `code`, `reason` and the like only. */
const SHORT_CODE = /^[A-Z]{4,}$/;

/** What users run in their processes. */
const SHIPPED = ['client', 'foundation', 'messaging', 'nestjs', 'participant'].flatMap((name) =>
  readdirSync(path.join(root, `libs/${name}/src`), { recursive: true, encoding: 'utf8' })
    .map((file) => `libs/${name}/src/${file}`)
    .filter((file) => file.endsWith('.ts') && !isTestCode(file)),
);

/** Variables of the environment, which no code is called like. */
const VARIABLE = /^(?:CONCORDAT|KAFKA)_/;

/** Texts in capitals that are no codes of errors, and what they are. */
const NO_CODES: Readonly<Record<string, string>> = {
  NODE_ENV: 'a variable',
  REQUIRES_NEW: 'a propagation',
  CLUSTER_AUTHORIZATION_FAILED: 'an answer of Kafka',
  INVALID_RECORD: 'an answer of Kafka',
  INVALID_TOPIC_EXCEPTION: 'an answer of Kafka',
  MESSAGE_TOO_LARGE: 'an answer of Kafka',
  RECORD_LIST_TOO_LARGE: 'an answer of Kafka',
  TOPIC_AUTHORIZATION_FAILED: 'an answer of Kafka',
  UNKNOWN_TOPIC_OR_PARTITION: 'an answer of Kafka',
  GROUP_AUTHORIZATION_FAILED: 'an answer of Kafka',
  ILLEGAL_SASL_STATE: 'an answer of Kafka',
  SASL_AUTHENTICATION_FAILED: 'an answer of Kafka',
  UNSUPPORTED_SASL_MECHANISM: 'an answer of Kafka',
  CERT_HAS_EXPIRED: 'an error of TLS in Node.js',
  CERT_NOT_YET_VALID: 'an error of TLS in Node.js',
  CERT_UNTRUSTED: 'an error of TLS in Node.js',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'an error of TLS in Node.js',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'an error of TLS in Node.js',
  ERR_SSL_WRONG_VERSION_NUMBER: 'an error of TLS in Node.js',
  SELF_SIGNED_CERT_IN_CHAIN: 'an error of TLS in Node.js',
  UNABLE_TO_GET_ISSUER_CERT: 'an error of TLS in Node.js',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'an error of TLS in Node.js',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'an error of TLS in Node.js',
  CERTIFICATE_REQUIRED: 'an alert of TLS',
  UNKNOWN_CA: 'an alert of TLS',
  AUTHENTICATION_SETUP: 'of a coordinator that does not start',
  RAFT_TRANSPORT_TLS_INVALID: 'of a coordinator that does not start',
  EAI_AGAIN: 'an error of the system',
  ERR_INVALID_URL: 'an error of Node.js',
  ERR_TLS_CERT_ALTNAME_INVALID: 'an error of Node.js',
  UND_ERR_CONNECT_TIMEOUT: 'an error of fetch',
  DEADLOCK_VICTIM: 'a reason of a former release',
};

/** Codes of the protocol and of coordinators that reach users, from sources that have many more of their own. */
const OF_PROTOCOL = [
  'DATABASE_CHANGED',
  'INSTANCE_GONE',
  'INVALID_ERROR_CODE',
  'ABORTED_BY_PARTICIPANT',
  'DEADLOCK',
  'OPERATOR',
];

function codesOf(file: string): string[] {
  const codes: string[] = [];
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest);
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && node.expression.getText(source) === 'Symbol') return; // a token of Nest
    if (ts.isStringLiteral(node) && CODE.test(node.text)) codes.push(node.text);
    else if (ts.isPropertyAssignment(node) && ts.isStringLiteral(node.initializer) && isCodeName(node.name)) {
      if (SHORT_CODE.test(node.initializer.text)) codes.push(node.initializer.text);
    } else if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name) && CODE.test(node.name.text)) {
      codes.push(node.name.text);
    }
    node.forEachChild(visit);
  };
  visit(source);
  return codes;
}

const isCodeName = (name: ts.PropertyName): boolean => ts.isIdentifier(name) && /^(code|reason)$/.test(name.text);

/** The codes of the first column of every table of a document, or of a part of one. */
function codesIn(text: string): ReadonlySet<string> {
  const rows = text.match(/^\| `[^|]+\|/gm) ?? [];
  return new Set(rows.flatMap((row) => [...row.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, code]) => code!)));
}

describe('docs/guides/troubleshooting.md', () => {
  const documented = codesIn(read('docs/guides/troubleshooting.md'));

  it('has every code that the libraries throw or answer with', () => {
    const found = new Set([...SHIPPED.flatMap(codesOf), ...OF_PROTOCOL]);
    expect(found.size).toBeGreaterThan(100);
    const codes = [...found].filter((text) => !VARIABLE.test(text) && !(text in NO_CODES));
    expect(codes.filter((code) => !documented.has(code)).sort()).toEqual([]);
    expect(Object.keys(NO_CODES).filter((code) => documented.has(code))).toEqual([]);
  });

  it('has every code of the REST interface and of aborts', () => {
    const codes = codesIn(read('docs/errors.md'));
    expect(codes.size).toBeGreaterThan(60);
    expect([...codes].filter((code) => !documented.has(code)).sort()).toEqual([]);
  });

  it('has every refusal of a branch that operations.md has', () => {
    const refusals = /### Refusals by the database\n([\s\S]*?)\n### /.exec(read('docs/operations.md'))?.[1] ?? '';
    const codes = codesIn(refusals);
    expect(codes.size).toBeGreaterThan(20);
    expect([...codes].filter((code) => !documented.has(code))).toEqual([]);
  });

  it('says in every row what to do', () => {
    const rows = read('docs/guides/troubleshooting.md').match(/^\| `.*$/gm) ?? [];
    const lacking = rows.filter((row) =>
      row
        .split('|')
        .slice(1, -1)
        .some((cell) => cell.trim().length < 4),
    );
    expect(lacking).toEqual([]);
  });
});
