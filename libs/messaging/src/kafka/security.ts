import {
  CertificateError,
  readPrivateFile,
  SystemClock,
  WatchedCertificates,
  type FileKind,
  type Logger,
} from '@concordat/foundation';
import type { KafkaMessageBusOptions } from './kafka-client.js';

export const SASL_MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'] as const;
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

/** A text of the environment, or a file that is read for each connection. */
export type SecretSource = { readonly text: string } | { readonly file: string };

/** How a process shows the brokers who it is, and knows them. */
export interface KafkaSecurity {
  /** paths of files in PEM; without `ca`, the authorities of Node.js; undefined: plain text */
  readonly tls:
    | { readonly ca?: string | undefined; readonly certificate?: string | undefined; readonly key?: string | undefined }
    | undefined;
  /** undefined: no SASL; for `oauthbearer` the password is the token */
  readonly sasl:
    | {
        readonly mechanism: SaslMechanism;
        readonly username: SecretSource | undefined;
        readonly password: SecretSource;
      }
    | undefined;
}

type Options = Pick<KafkaMessageBusOptions, 'ssl' | 'sasl'>;

/**
 * TLS and SASL for the bus. Its client reads the members for each connection, so a file that has changed counts from the
 * next one on. What cannot be read then is logged, and the last content stays. The end of the certificate is among the
 * metrics of a participant (`certificateExpirySeconds`), and the log warns of it 30 days before.
 *
 * @param isWatched whether somebody else looks at the end of the certificate
 */
export function kafkaSecurityOptions(security: KafkaSecurity | undefined, logger: Logger, isWatched = false): Options {
  if (!security) return {};
  const { tls, sasl } = security;
  if (tls && !isWatched) watchOwn(tls, logger);
  return {
    ...(tls && { ssl: sslOf(tls, logger) }),
    ...(sasl && { sasl: saslOf(sasl, logger) }),
  };
}

/** One for each file, however many connections show it; as long as the process lives. */
const watched = new Map<string, WatchedCertificates>();

/** Each connection reads the files itself, and says what is wrong with them. */
function watchOwn({ certificate, key }: NonNullable<KafkaSecurity['tls']>, logger: Logger): void {
  if (certificate === undefined || key === undefined || watched.has(certificate)) return;
  const clock = new SystemClock();
  try {
    const paths = { certificate, key };
    watched.set(certificate, new WatchedCertificates({ use: 'kafka', paths, logger, now: () => clock.now() }));
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    logger.warn(`the certificate for the brokers is not watched: ${error.message}`);
  }
}

function sslOf(
  { ca, certificate, key }: NonNullable<KafkaSecurity['tls']>,
  logger: Logger,
): NonNullable<Options['ssl']> {
  const ssl = { minVersion: 'TLSv1.2' } as const;
  const member = (path: string | undefined, kind: FileKind): PropertyDescriptor | undefined =>
    path === undefined ? undefined : { enumerable: true, get: currentText(path, kind, logger) };
  const members = { ca: member(ca, 'trusted'), cert: member(certificate, 'public'), key: member(key, 'secret') };
  for (const [name, descriptor] of Object.entries(members)) {
    if (descriptor) Object.defineProperty(ssl, name, descriptor);
  }
  return ssl;
}

function saslOf(
  { mechanism, username, password }: NonNullable<KafkaSecurity['sasl']>,
  logger: Logger,
): NonNullable<Options['sasl']> {
  const secret = textOf(password, logger);
  if (mechanism === 'oauthbearer') return { mechanism, oauthBearerProvider: async () => ({ value: secret() }) };
  const name = username ? textOf(username, logger) : () => '';
  const credentials = {
    get username() {
      return name();
    },
    get password() {
      return secret();
    },
  };
  // one object of each kind, whose members stay what is read
  return Object.defineProperty(credentials, 'mechanism', { value: mechanism, enumerable: true }) as NonNullable<
    Options['sasl']
  >;
}

function textOf(source: SecretSource, logger: Logger): () => string {
  if ('text' in source) return () => source.text;
  const read = currentText(source.file, 'secret', logger);
  return () => read().trim();
}

function currentText(path: string, kind: FileKind, logger: Logger): () => string {
  let last = '';
  let complaint = '';
  return () => {
    const read = readPrivateFile(path, kind);
    if (read.ok) {
      [last, complaint] = [read.text, ''];
    } else if (read.expected !== complaint) {
      complaint = read.expected;
      logger.error(`${path} is not taken, and what it said before counts; it must be ${read.expected}`);
    }
    return last;
  };
}
