import { describe, expect, it } from '@jest/globals';
import type { AuthenticationProviderArgs, KafkaConfig, Mechanism } from 'kafkajs';
import { brokerFault } from './broker-fault.js';
import { withAnswerToToken } from './oauth-bearer.js';

const SASL = { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: 'the-token' }) } as const;

/** A broker that gives these answers, one after the other; undefined: it closes the exchange with an error. */
function brokerWith(...answers: readonly (string | undefined)[]) {
  const asked: string[] = [];
  const saslAuthenticate: AuthenticationProviderArgs['saslAuthenticate'] = async ({ request, response }) => {
    asked.push((await request.encode()).subarray(4).toString());
    const answer = answers[asked.length - 1];
    if (answer === undefined)
      throw Object.assign(new Error('{"status":"invalid_token"}'), { name: 'KafkaJSProtocolError' });
    const size = Buffer.alloc(4);
    size.writeInt32BE(answer.length);
    return response?.parse(await response.decode(Buffer.concat([size, Buffer.from(answer)])));
  };
  const { authenticationProvider } = withAnswerToToken(SASL) as Mechanism;
  const logger = undefined as unknown as AuthenticationProviderArgs['logger']; // it says nothing
  const { authenticate } = authenticationProvider({ host: 'broker', port: 1, logger, saslAuthenticate });
  return { asked, authenticate };
}

describe('a token for the brokers', () => {
  it('is sent as RFC 7628 says, and an empty answer is a welcome', async () => {
    const { asked, authenticate } = brokerWith('');
    await authenticate();
    expect(asked).toEqual(['n,,\u0001auth=Bearer the-token\u0001\u0001']);
  });

  it.each([
    ['with an error at once', [undefined], 1],
    ['with a challenge, and an error after that', ['{"status":"invalid_token"}', undefined], 2],
    ['with a challenge, and nothing more', ['{"status":"invalid_token"}', ''], 2],
  ])('that is refused %s is an error, which says so', async (_how, answers, questions) => {
    const { asked, authenticate } = brokerWith(...answers);
    const error = await authenticate().catch((refused: unknown) => refused);
    expect(error).toMatchObject({ name: 'KafkaJSSASLAuthenticationError', retriable: false });
    expect(asked).toHaveLength(questions);
    expect(brokerFault(error, { sasl: SASL })).toEqual({
      sentence: expect.stringMatching(/^the brokers refuse the token \(.*invalid_token/),
      fix: expect.any(String),
    });
  });

  it('is the only thing that is changed', () => {
    const plain: KafkaConfig['sasl'] = { mechanism: 'plain', username: 'ada', password: 'secret' };
    expect(withAnswerToToken(plain)).toBe(plain);
  });
});
