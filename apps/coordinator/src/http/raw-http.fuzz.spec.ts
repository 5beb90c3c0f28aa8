import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import { ask, TestGroup } from './testing/test-group.js';
import { CLOSING, exchange, type RawAnswers } from './testing/raw-client.js';
import { CLOSING_REQUEST, drawExchange } from './testing/raw-requests.js';

const SEED = Number(process.env['CONCORDAT_FUZZ_SEED'] ?? 20_261_129);
/** Of `npm run test:nightly` all, otherwise what fits into the suite. */
const REQUESTS = process.env['CONCORDAT_NIGHTLY'] === '1' ? 100_000 : 8_000;
const CONNECTIONS = 16;

let group: TestGroup;
beforeAll(async () => {
  group = await TestGroup.start(3, { CONCORDAT_REQUEST_TIMEOUT_MS: '10000', CONCORDAT_MAX_OPEN: '1000000' }, 50);
});
afterAll(() => group.stop());

interface Difference {
  readonly sent: string;
  readonly leader: RawAnswers;
  readonly follower: RawAnswers;
}

/**
 * The same answers in the same order. A node may end a connection after an answer that says so, as it does where a body
 * has not come whole when the answer goes; what stands behind is then not compared.
 */
function areAlike(one: RawAnswers, other: RawAnswers): boolean {
  const [shorter, longer] = one.length < other.length ? [one, other] : [other, one];
  const compared = shorter.at(-1) === CLOSING ? shorter.slice(0, -1) : shorter;
  return (
    compared.every((answer, index) => answer === longer[index]) && (compared !== shorter || one.length === other.length)
  );
}

function describeDifferences(differences: readonly Difference[]): string {
  const texts = differences.map(({ sent, leader, follower }) => {
    const text = JSON.stringify(sent).replace(/(.)\1{50,}/g, '$1…');
    return `leader:   ${leader.join(', ')}\nfollower: ${follower.join(', ')}\nafter ${text.slice(0, 4_000)}`;
  });
  return `answered differently, or by 500 (seed ${SEED}):\n${texts.join('\n\n')}`;
}

function request(method: string, target: string, body = ''): Buffer {
  const head = `${method} ${target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;
  return Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
}

function expecting(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replace('Host: a', 'Host: a\r\nExpect: 100-continue'), 'latin1');
}

const LAST = Buffer.from(CLOSING_REQUEST);
const EXECUTE = '/v1/transactions/execute';
const work = JSON.stringify({ branches: [{ participant: 'nobody', operation: 'debit', payload: {} }] });

describe('each form of a target is answered alike by leader and follower', () => {
  it.each([
    ['origin-form', [request('POST', EXECUTE, work), LAST], ['400 UNKNOWN_PARTICIPANT', '200', CLOSING]],
    [
      'absolute-form',
      [request('POST', `http://host${EXECUTE}`, work), LAST],
      ['400 UNKNOWN_PARTICIPANT', '200', CLOSING],
    ],
    ['absolute-form of a question', [request('GET', 'HTTP://HOST:1/v1/in-doubt'), LAST], ['200', '200', CLOSING]],
    ['another scheme', [request('POST', `ftp://host${EXECUTE}`, work), LAST], ['400 MALFORMED_HTTP', '200', CLOSING]],
    ['a fragment', [request('POST', `${EXECUTE}#/../x`, work), LAST], ['400 MALFORMED_HTTP', '200', CLOSING]],
    [
      'a fragment that is no code',
      [request('POST', `${EXECUTE}#%zz`, work), LAST],
      ['400 MALFORMED_HTTP', '200', CLOSING],
    ],
    [
      'an encoded route',
      [request('POST', '/v1/%74ransactions/execute', work), LAST],
      ['400 UNKNOWN_PARTICIPANT', '200', CLOSING],
    ],
    ['asterisk-form', [request('OPTIONS', '*'), LAST], ['400 MALFORMED_HTTP', '200', CLOSING]],
    ['authority-form', [request('CONNECT', 'host:443')], ['400 MALFORMED_HTTP', CLOSING]],
    [
      'something broken behind what must be asked of the leader',
      [request('POST', EXECUTE, work), request('POST', EXECUTE, '{'), Buffer.from('@\r\n\r\n')],
      ['400 UNKNOWN_PARTICIPANT', '400 INVALID_JSON', '400 MALFORMED_HTTP', CLOSING],
    ],
    [
      'CONNECT behind what must be asked of the leader',
      [request('POST', EXECUTE, work), request('POST', EXECUTE, '{'), request('CONNECT', 'host:443')],
      ['400 UNKNOWN_PARTICIPANT', '400 INVALID_JSON', '400 MALFORMED_HTTP', CLOSING],
    ],
    [
      'a client that asks to go on, behind what must be asked of the leader',
      [request('POST', EXECUTE, work), expecting(request('POST', EXECUTE, work)), LAST],
      ['400 UNKNOWN_PARTICIPANT', '100', '400 UNKNOWN_PARTICIPANT', '200', CLOSING],
    ],
    [
      'a client that asks to go on',
      [expecting(request('POST', EXECUTE, work)), LAST],
      ['100', '400 UNKNOWN_PARTICIPANT', '200', CLOSING],
    ],
  ])('%s', async (_name, parts, expected) => {
    const nodes = [await group.leader(), ...(await group.followers())];
    for (const { httpPort } of nodes) {
      expect(await exchange(httpPort, Buffer.concat(parts), parts.length).answers).toEqual(expected);
    }
  });
});

describe('raw HTTP that no client should send', () => {
  it('is answered alike by leader and follower, never by 500, and ends neither', async () => {
    const [leader, [follower]] = [await group.leader(), await group.followers()];
    const random = new SeededRandom(SEED);
    const differences: Difference[] = [];
    const statuses = new Map<string, number>();
    let [sent, cutShort] = [0, 0];
    const compared: Promise<void>[] = [];
    const compare = async (bytes: Buffer, answers: readonly Promise<RawAnswers>[]): Promise<void> => {
      const [one, other] = await Promise.all(answers);
      for (const answer of one!) statuses.set(answer, (statuses.get(answer) ?? 0) + 1);
      if (one!.length !== other!.length) cutShort++;
      const failed = [...one!, ...other!].some((answer) => answer.startsWith('500'));
      if (failed || !areAlike(one!, other!))
        differences.push({ sent: bytes.toString('latin1'), leader: one!, follower: other! });
    };
    const worker = async (): Promise<void> => {
      while (sent < REQUESTS && differences.length < 5) {
        const { bytes, requestCount } = drawExchange(random);
        sent += requestCount;
        const exchanges = [leader, follower!].map(({ httpPort }) => exchange(httpPort, bytes, requestCount));
        compared.push(
          compare(
            bytes,
            exchanges.map(({ answers }) => answers),
          ),
        );
        await Promise.all(exchanges.map(({ quiet }) => quiet));
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, worker));
    await Promise.all(compared);
    if (differences.length > 0) throw new Error(describeDifferences(differences)); // a diff of such texts takes minutes
    for (const node of [leader, follower!]) {
      expect((await ask(node, 'POST', '/v1/transactions', {})).status).toBe(201);
    }
    expect(cutShort).toBeLessThan(REQUESTS / 1_000);
    expect(statuses.get('404 ROUTE_NOT_FOUND')).toBeGreaterThan(REQUESTS / 10); // most were read to their end
    expect(statuses.get('400 UNKNOWN_PARTICIPANT')).toBeGreaterThan(REQUESTS / 100); // and many passed on
  }, 600_000);
});
