import { errorMessage } from '@concordat/foundation';
import type { KafkaConfig, Mechanism, OauthbearerProviderResponse } from 'kafkajs';
import { kafkajs, kafkajsFile } from './kafkajs.js';

type Sasl = NonNullable<KafkaConfig['sasl']>;
/** kafkajs takes it apart: the text of RFC 7628, section 3.1, with its size before it. */
type Request = (sasl: Sasl, token: OauthbearerProviderResponse) => Promise<{ encode: () => Promise<Buffer> }>;

const SIZE_BYTES = 4;
/** RFC 7628, section 3.2.3: with it the client asks for the end of an exchange that has failed. */
const DUMMY = Buffer.from([0, 0, 0, 1, 1]);

/**
 * SASL as kafkajs needs it. It takes every answer to a token for a welcome, also the one that refuses it, and its next
 * request would wait for an answer that never comes. With this a refusal is an error, as with the other mechanisms.
 */
export function withAnswerToToken(sasl: Sasl): Sasl {
  if (!('oauthBearerProvider' in sasl)) return sasl;
  const { mechanism, oauthBearerProvider } = sasl;
  const authenticationProvider: Mechanism['authenticationProvider'] = ({ saslAuthenticate }) => ({
    authenticate: async () => {
      const request = kafkajsFile('protocol/sasl/oauthBearer/request.js') as Request;
      try {
        const challenge = await saslAuthenticate({
          request: await request(sasl, await oauthBearerProvider()),
          response: { decode: (answer) => answer.subarray(SIZE_BYTES), parse: (bytes) => bytes.toString() },
        });
        if (!challenge) return;
        await saslAuthenticate({ request: { encode: () => DUMMY } }); // the broker says why, and closes the connection
        throw new Error(challenge);
      } catch (error) {
        throw refusal(`SASL OAUTHBEARER authentication failed: ${errorMessage(error)}`);
      }
    },
  });
  return { mechanism, authenticationProvider };
}

/** Not repeated by kafkajs, and known by its name to `brokerFault`. */
function refusal(message: string): Error {
  const { KafkaJSNonRetriableError } = kafkajs();
  return Object.assign(new KafkaJSNonRetriableError(message), { name: 'KafkaJSSASLAuthenticationError' });
}
