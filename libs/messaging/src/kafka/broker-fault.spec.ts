import { createServer, type AddressInfo, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, describe, expect, it } from '@jest/globals';
import { LocalAuthority } from '@concordat/foundation/authority';
import { brokerFault, describeBrokerFault, type BrokerAccess } from './broker-fault.js';
import { inspectTopics } from './inspection.js';

const [authority, other] = [LocalAuthority.create('brokers'), LocalAuthority.create('others')];
const ca = authority.certificate.toString();
const PLAIN = { mechanism: 'plain', username: 'orders', password: 'secret-canary' } as const;
const servers: Server[] = [];
afterAll(() => servers.forEach((server) => server.close()));

/** A listener that hangs up at the first byte it does not understand, as a broker does. */
async function listener(server: Server): Promise<string> {
  servers.push(server);
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const hangsUp = (): Server => createServer((socket) => socket.once('data', () => socket.end()));

function overTls(subject: string, options: { readonly notAfter?: Date } = {}): Server {
  const certificate = authority.issue({ subject, ...options });
  return createTlsServer(certificate, (socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end());
  });
}

async function sentenceOf(broker: string, access: BrokerAccess): Promise<string> {
  try {
    await inspectTopics({ brokers: [broker], cluster: 'local', ...access }, ['replies']);
  } catch (error) {
    return describeBrokerFault(error, access);
  }
  throw new TypeError('the broker has answered');
}

describe('why a broker cannot be asked', () => {
  it.each<[string, () => Server, BrokerAccess, string]>([
    ['plain text, and it wants TLS', () => overTls('broker'), {}, 'it probably wants TLS: set KAFKA_TLS_CA'],
    ['TLS, and it speaks plain text', hangsUp, { ssl: true }, 'the broker does not speak it at this address: call its'],
    [
      'TLS with another authority',
      () => overTls('broker'),
      { ssl: { ca: other.certificate.toString() } },
      'no authority that this process trusts has signed the certificate of the broker',
    ],
    ['TLS with no authority of its own', () => overTls('broker'), { ssl: true }, 'set KAFKA_TLS_CA (ca in the option'],
    [
      'TLS, and its certificate has ended',
      () => overTls('broker', { notAfter: new Date('2021-01-01T00:00:00Z') }),
      { ssl: { ca } },
      'the certificate of the broker, or that of its authority, is not valid now',
    ],
    [
      'TLS by a name that its certificate has not',
      () => overTls('broker'),
      {
        ssl: {
          ca,
          checkServerIdentity: () => Object.assign(new Error('not you'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }),
        },
      },
      'the certificate of the broker is of another host',
    ],
    [
      'TLS without a name',
      () => overTls('broker'),
      { ssl: { ca } },
      'it probably asks for a name: set KAFKA_SASL_MECH',
    ],
    [
      'all of it, and it hangs up',
      () => overTls('broker'),
      { ssl: { ca }, sasl: PLAIN },
      'the broker closes the connection without an answer: look into its log',
    ],
  ])('it was called with %s', async (_what, server, access, sentence) => {
    const told = await sentenceOf(await listener(server()), access);
    expect(told).toContain(sentence);
    expect(told).not.toContain('canary');
  });

  it('is that nobody listens', async () => {
    const server = createServer();
    const broker = await listener(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await sentenceOf(broker, { ssl: true })).toMatch(
      /^the brokers cannot be asked: .*ECONNREFUSED.*: start them/,
    );
  });

  const failure = (message: string, given: object): Error => Object.assign(new Error(message), given);
  const [SASL, CONNECTION] = ['KafkaJSSASLAuthenticationError', 'KafkaJSConnectionError'];
  const shown = { ssl: { ca, cert: 'mine', key: 'mine' } };

  it.each<[string, Error, BrokerAccess, string]>([
    [
      'a password is wrong',
      failure('SASL PLAIN authentication failed', { name: SASL }),
      { sasl: PLAIN },
      'the brokers refuse the name or the password (SASL PLAIN authentication failed): check KAFKA_SASL_USERNAME',
    ],
    [
      'a token has ended',
      failure('invalid_token', { name: SASL }),
      { sasl: { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: '' }) } },
      'the brokers refuse the token (invalid_token)',
    ],
    [
      'a mechanism is not offered',
      failure('SASL PLAIN mechanism is not supported by the server', { name: SASL }),
      { sasl: PLAIN },
      'the brokers do not let anybody in by PLAIN: set KAFKA_SASL_MECHANISM',
    ],
    [
      'a mechanism is refused',
      failure('The broker does not support the requested SASL mechanism', { type: 'UNSUPPORTED_SASL_MECHANISM' }),
      { sasl: PLAIN },
      'the brokers do not let anybody in by PLAIN',
    ],
    [
      'nobody is asked for a name',
      failure('Request is not valid given the current SASL state', { type: 'ILLEGAL_SASL_STATE' }),
      { sasl: PLAIN },
      'the brokers ask nobody for a name at this address',
    ],
    [
      'the certificate of the process has ended',
      failure('alert', { name: CONNECTION, code: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED' }),
      shown,
      'the certificate that this process shows the broker has ended: replace the files',
    ],
    [
      'the certificate of the process is of nobody',
      failure('alert', { name: CONNECTION, code: 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN' }),
      shown,
      'the broker refuses the certificate of this process (certificate unknown): set KAFKA_TLS_CERT',
    ],
    [
      'a certificate is missing',
      failure('alert', { name: CONNECTION, code: 'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE' }),
      { ssl: { ca } },
      'the broker asks for a certificate of this process, and was shown none (bad certificate)',
    ],
    [
      'the versions of TLS differ',
      failure('alert protocol version', { name: CONNECTION, code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' }),
      { ssl: { ca } },
      'the broker refuses to speak TLS with this process (alert protocol version)',
    ],
  ])('is that %s', (_what, cause, access, sentence) => {
    const error = new Error('retries exceeded', { cause: new Error('inner', { cause }) });
    expect(describeBrokerFault(error, access)).toContain(sentence);
    expect(describeBrokerFault(error, access)).not.toContain('canary');
  });

  it('is what was thrown, where nothing else is known', () => {
    for (const [thrown, text] of [
      [new Error('strange'), 'strange'],
      ['text', 'text'],
      [undefined, 'undefined'],
    ]) {
      expect(brokerFault(thrown, {}).sentence).toBe(`the brokers cannot be asked: ${String(text)}`);
    }
  });
});
