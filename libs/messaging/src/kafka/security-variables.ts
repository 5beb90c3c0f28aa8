import { X509Certificate, createPrivateKey } from 'node:crypto';
import {
  certificatesIn,
  oneOf,
  readPrivateFile,
  validityFault,
  type Environment,
  type FileKind,
  type VariableProblem,
  type VariableValues,
} from '@concordat/foundation';
import { SASL_MECHANISMS, type KafkaSecurity, type SecretSource } from './security.js';

const path = {
  default: null,
  expected: 'the path of a readable file',
  parse: (text: string): string | undefined => (text.includes('\0') ? undefined : text),
};
const text = { default: null, expected: 'a text', parse: (value: string): string => value };

/** Environment variables of a process that calls brokers over TLS, or says who it is. */
export const KAFKA_VARIABLES = {
  KAFKA_TLS: {
    meaning: 'whether the brokers are called over TLS; on by itself with KAFKA_TLS_CA or KAFKA_TLS_CERT',
    default: null,
    ...oneOf(['on', 'off'] as const),
  },
  KAFKA_TLS_CA: {
    meaning:
      'file with the authorities of the brokers; default: those of Node.js. All files are read for each connection',
    ...path,
  },
  KAFKA_TLS_CERT: { meaning: 'file with the certificate of this process for the brokers', ...path },
  KAFKA_TLS_KEY: { meaning: 'file with its private key, of mode 0600', ...path },
  KAFKA_SASL_MECHANISM: {
    meaning: 'how the process shows the brokers who it is; default: not at all, or by its certificate',
    default: null,
    ...oneOf(SASL_MECHANISMS),
  },
  KAFKA_SASL_USERNAME: { meaning: 'its name; not for oauthbearer', ...text },
  KAFKA_SASL_USERNAME_FILE: { meaning: 'file with its name instead', ...path },
  KAFKA_SASL_PASSWORD: { meaning: 'its password; a file is safer', ...text, isSecret: true },
  KAFKA_SASL_PASSWORD_FILE: {
    meaning: 'file of mode 0600 with its password, or for oauthbearer with its token',
    ...path,
  },
} as const;

type Values = VariableValues<typeof KAFKA_VARIABLES>;
type Report = (name: keyof Values, expected: string) => void;

/** What of the settings contradicts itself, and what is wrong with the files. */
export function checkKafka(values: Partial<Values>, environment: Environment, problems: VariableProblem[]): void {
  const report: Report = (name, expected) => {
    const value = environment[name]?.trim() && !name.endsWith('PASSWORD') ? environment[name] : undefined;
    problems.push({ variable: name, value, expected });
  };
  checkTlsFiles(values, report);
  checkSasl(values, report);
}

function checkTlsFiles(values: Partial<Values>, report: Report): void {
  const { KAFKA_TLS_CA: ca, KAFKA_TLS_CERT: certificate, KAFKA_TLS_KEY: key } = values;
  if (values.KAFKA_TLS === 'off' && (ca ?? certificate ?? key) !== undefined) {
    report('KAFKA_TLS', '"on", or left out: there are files for TLS');
  }
  if (certificate !== undefined && key === undefined) report('KAFKA_TLS_KEY', 'set, too: the key of KAFKA_TLS_CERT');
  if (key !== undefined && certificate === undefined)
    report('KAFKA_TLS_CERT', 'set, too: the certificate of KAFKA_TLS_KEY');
  const texts = [
    check('KAFKA_TLS_CA', 'trusted', isCertificate, 'a file with certificates in PEM'),
    check('KAFKA_TLS_CERT', 'public', isCertificate, 'a file with a certificate in PEM'),
    check('KAFKA_TLS_KEY', 'secret', isKey, 'a file with a private key in PEM, without a password'),
  ];
  const [, ownText, keyText] = texts;
  if (ownText === undefined || keyText === undefined) return;
  const own = new X509Certificate(ownText);
  if (!own.checkPrivateKey(createPrivateKey(keyText))) {
    report('KAFKA_TLS_KEY', 'the private key of the certificate in KAFKA_TLS_CERT');
  }
  const fault = validityFault(own, Date.now());
  if (fault !== undefined) report('KAFKA_TLS_CERT', fault);

  function check(name: keyof Values, kind: FileKind, isRight: (text: string) => boolean, expected: string) {
    const file = values[name];
    if (file === undefined) return undefined;
    const read = readPrivateFile(file, kind);
    if (!read.ok) report(name, read.expected);
    else if (!isRight(read.text)) report(name, expected);
    else return read.text;
    return undefined;
  }
}

function checkSasl(values: Partial<Values>, report: Report): void {
  const { KAFKA_SASL_MECHANISM: mechanism } = values;
  for (const name of ['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const) {
    const file = `${name}_FILE` as const;
    const isSet = values[name] !== undefined || values[file] !== undefined;
    if (values[name] !== undefined && values[file] !== undefined) report(file, `left out: ${name} is set`);
    if (isSet && mechanism === undefined) {
      report('KAFKA_SASL_MECHANISM', `one of ${SASL_MECHANISMS.join(', ')}: ${name} is set`);
    }
    const isNeeded = mechanism !== undefined && (mechanism !== 'oauthbearer' || name === 'KAFKA_SASL_PASSWORD');
    if (isNeeded && !isSet) report(file, `set, or ${name}: ${mechanism} needs it`);
    if (values[file] === undefined) continue;
    const read = readPrivateFile(values[file], 'secret');
    if (!read.ok) report(file, read.expected);
    else if (read.text.trim() === '') report(file, 'a file with a text in it');
  }
}

export function kafkaSecurity(values: Values): KafkaSecurity | undefined {
  const { KAFKA_TLS_CA: ca, KAFKA_TLS_CERT: certificate, KAFKA_TLS_KEY: key, KAFKA_SASL_MECHANISM: mechanism } = values;
  const hasTls = values.KAFKA_TLS === 'on' || (ca ?? certificate) !== undefined;
  const username = source(values.KAFKA_SASL_USERNAME, values.KAFKA_SASL_USERNAME_FILE);
  const password = source(values.KAFKA_SASL_PASSWORD, values.KAFKA_SASL_PASSWORD_FILE);
  const sasl = mechanism && password ? { mechanism, username, password } : undefined;
  if (!hasTls && !sasl) return undefined;
  return { tls: hasTls ? { ca, certificate, key } : undefined, sasl };
}

function source(given: string | undefined, file: string | undefined): SecretSource | undefined {
  if (file !== undefined) return { file };
  return given === undefined ? undefined : { text: given };
}

function isCertificate(pem: string): boolean {
  return certificatesIn(pem) !== undefined;
}

function isKey(pem: string): boolean {
  try {
    createPrivateKey(pem);
    return true;
  } catch {
    return false;
  }
}
