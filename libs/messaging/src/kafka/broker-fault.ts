import { errorMessage } from '@concordat/foundation';
import type { KafkaConfig } from 'kafkajs';

/** Why the brokers do not serve this process, and what somebody can do about it. No secret is in it. */
export interface BrokerFault {
  readonly sentence: string;
  readonly fix: string;
}

/** How the brokers were called. */
export type BrokerAccess = Pick<KafkaConfig, 'ssl' | 'sasl'>;

/** What TLS says of the broker's own certificate when no authority that is trusted here has signed it. */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
/** The broker speaks no TLS at this address, and has sent something else. */
const NO_TLS: ReadonlySet<string> = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);

/**
 * What a failure of a call to the brokers means, in the words of who has to correct it. Neither kafkajs nor a broker says
 * it: a broker that wants TLS, or a name, closes the connection without an answer.
 */
export function brokerFault(error: unknown, access: BrokerAccess): BrokerFault {
  return (
    settingFault(error, access) ?? {
      sentence: `the brokers cannot be asked: ${errorMessage(error)}`,
      fix: 'start them, and check their addresses, the network, and the addresses that they advertise',
    }
  );
}

/** The same where TLS or SASL is the reason; undefined for brokers that are away. */
export function settingFault(error: unknown, access: BrokerAccess): BrokerFault | undefined {
  const links = chainOf(error);
  return saslFault(links, access) ?? connectionFault(links, access);
}

/** One sentence of both parts. */
export function describeBrokerFault(error: unknown, access: BrokerAccess): string {
  return sentenceOf(brokerFault(error, access));
}

export function sentenceOf({ sentence, fix }: BrokerFault): string {
  return `${sentence}: ${fix}`;
}

/** An error or one of its causes. */
interface Link {
  readonly name: string;
  readonly message: string;
  readonly code: string;
  readonly type: string;
}

function chainOf(error: unknown): readonly Link[] {
  const links: Link[] = [];
  for (let next = error, depth = 0; next instanceof Error && depth < 8; next = next.cause, depth++) {
    const { name, message } = next;
    const { code, type } = next as { readonly code?: unknown; readonly type?: unknown };
    links.push({ name, message, code: textOf(code), type: textOf(type) });
  }
  return links;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function saslFault(links: readonly Link[], { sasl }: BrokerAccess): BrokerFault | undefined {
  const mechanism = sasl?.mechanism?.toUpperCase() ?? 'SASL';
  const isType = (type: string): boolean => links.some((link) => link.type === type);
  if (isType('ILLEGAL_SASL_STATE')) {
    return {
      sentence: 'the brokers ask nobody for a name at this address (ILLEGAL_SASL_STATE)',
      fix: 'leave KAFKA_SASL_MECHANISM and what belongs to it out (the option sasl), or call an address for SASL',
    };
  }
  const isUnknown = links.some(({ message }) => message.includes('mechanism is not supported by the server'));
  if (isType('UNSUPPORTED_SASL_MECHANISM') || isUnknown) {
    return {
      sentence: `the brokers do not let anybody in by ${mechanism}`,
      fix: 'set KAFKA_SASL_MECHANISM (the option sasl) to one of their sasl.enabled.mechanisms',
    };
  }
  const refused = links.find(({ name, type }) => name === SASL_ERROR || type === 'SASL_AUTHENTICATION_FAILED');
  if (!refused) return undefined;
  if (mechanism === 'OAUTHBEARER') {
    return {
      sentence: `the brokers refuse the token (${refused.message})`,
      fix: 'check the file of KAFKA_SASL_PASSWORD_FILE (the option sasl), and whether the token has ended',
    };
  }
  return {
    sentence: `the brokers refuse the name or the password (${refused.message})`,
    fix: 'check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or their files (the option sasl), and that the brokers know this user',
  };
}

const SASL_ERROR = 'KafkaJSSASLAuthenticationError';

function connectionFault(links: readonly Link[], { ssl, sasl }: BrokerAccess): BrokerFault | undefined {
  const hasTls = ssl !== undefined && ssl !== false;
  const codes = links.map(({ code }) => code);
  if (codes.some((code) => UNKNOWN_AUTHORITY.has(code))) {
    return {
      sentence: `no authority that this process trusts has signed the certificate of the broker (${codes[0]})`,
      fix: 'set KAFKA_TLS_CA (ca in the option ssl) to the file of the authority that has',
    };
  }
  if (codes.includes('CERT_HAS_EXPIRED') || codes.includes('CERT_NOT_YET_VALID')) {
    return {
      sentence: 'the certificate of the broker, or that of its authority, is not valid now',
      fix: 'give the broker another one, and check the clock of this machine',
    };
  }
  if (codes.includes('ERR_TLS_CERT_ALTNAME_INVALID')) {
    return {
      sentence: `the certificate of the broker is of another host (${links[0]!.message})`,
      fix: 'call the brokers, and let them advertise themselves, by a name that is in their certificates',
    };
  }
  const alert = links.find(({ code }) => /^ERR_SSL_.*ALERT/.test(code));
  if (alert) return alertFault(alert, hasOwnCertificate(ssl));
  const isReset = links.some(({ message }) => message.includes('before secure TLS connection was established'));
  if (hasTls && (isReset || codes.some((code) => NO_TLS.has(code)))) {
    return {
      sentence: 'this process speaks TLS, and the broker does not speak it at this address',
      fix: 'call its address for TLS, or set no KAFKA_TLS, KAFKA_TLS_CA and KAFKA_TLS_CERT (the option ssl)',
    };
  }
  if (!links.some(({ name, code }) => name === 'KafkaJSConnectionClosedError' || code === 'ECONNRESET'))
    return undefined;
  return closedFault(hasTls, sasl !== undefined);
}

function hasOwnCertificate(ssl: BrokerAccess['ssl']): boolean {
  return typeof ssl === 'object' && ssl.cert !== undefined;
}

/** The broker has read our certificate, or missed it, and has said so by an alert of TLS. */
function alertFault({ code, message }: Link, isShown: boolean): BrokerFault {
  const name = code
    .replace(/^ERR_SSL_(SSLV3|TLSV1|TLSV13)_ALERT_/, '')
    .toLowerCase()
    .replaceAll('_', ' ');
  if (code.includes('CERTIFICATE_REQUIRED') || (!isShown && code.includes('CERTIFICATE'))) {
    return {
      sentence: `the broker asks for a certificate of this process, and was shown none (${name})`,
      fix: 'set KAFKA_TLS_CERT and KAFKA_TLS_KEY (cert and key in the option ssl)',
    };
  }
  if (code.includes('EXPIRED')) {
    return {
      sentence: 'the certificate that this process shows the broker has ended',
      fix: 'replace the files of KAFKA_TLS_CERT and KAFKA_TLS_KEY; no restart is needed',
    };
  }
  if (code.includes('CERTIFICATE') || code.includes('UNKNOWN_CA')) {
    return {
      sentence: `the broker refuses the certificate of this process (${name})`,
      fix: 'set KAFKA_TLS_CERT and KAFKA_TLS_KEY to one that has not ended, of an authority that the broker trusts',
    };
  }
  return {
    sentence: `the broker refuses to speak TLS with this process (${message})`,
    fix: 'check that it takes TLS 1.2 or 1.3, and what its log says',
  };
}

/** Without a word from the broker: by what it was told, the likely reason. */
function closedFault(hasTls: boolean, hasSasl: boolean): BrokerFault {
  if (!hasTls) {
    return {
      sentence: 'the broker closes connections in plain text without an answer; it probably wants TLS',
      fix: 'set KAFKA_TLS_CA, or KAFKA_TLS=on (the option ssl), or call its address for plain text',
    };
  }
  return {
    sentence: `the broker closes the connection without an answer${hasSasl ? '' : '; it probably asks for a name'}`,
    fix: hasSasl ? 'look into its log' : 'set KAFKA_SASL_MECHANISM, and a name and a password for it (the option sasl)',
  };
}
