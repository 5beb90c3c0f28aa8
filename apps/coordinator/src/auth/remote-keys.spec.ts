import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readFilesAgain, type Logger } from '@concordat/foundation';
import { errors } from 'jose';
import {
  ASK_FIRST_AFTER_MS,
  ASK_FOR_UNKNOWN_EACH_MS,
  PAUSE_AFTER_FAILURE_MS,
  REFRESH_AFTER_MS,
  RemoteKeys,
  UNUSABLE_AFTER_MS,
} from './remote-keys.js';
import { TestIssuer } from './testing/issuer.js';

/** The machine may be slow. */
const PATIENT_MS = 30_000;
const header = (kid: string) => ({ alg: 'ES256', kid });

let [first, second]: TestIssuer[] = [];
beforeAll(async () => {
  [first, second] = await Promise.all([TestIssuer.create('ES256', 'first'), TestIssuer.create('ES256', 'second')]);
});

let server: Server;
let answer: RequestListener;
let asked: number;
let elapsed: number;
let timeoutMs: number;
let warnings: string[];
let keys: RemoteKeys;
beforeEach(async () => {
  [asked, elapsed, warnings] = [0, 0, []];
  server = createServer((request, response) => {
    asked++;
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const warn = (text: string): void => void warnings.push(text);
  const logger: Logger = { debug: warn, info: warn, warn, error: warn };
  timeoutMs = PATIENT_MS;
  const monotonic = (): number => elapsed;
  keys = new RemoteKeys({
    url: `http://127.0.0.1:${port}/keys?key=canary`, // some issuers want one
    monotonic,
    logger,
    get timeoutMs() {
      return timeoutMs;
    },
  });
});
afterEach(() => {
  expect(warnings.join('\n')).not.toContain('canary');
  server.closeAllConnections();
  server.close();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

function answers(value: unknown, status = 200): RequestListener {
  return (_request, response) => void response.writeHead(status).end(JSON.stringify(value));
}

describe('keys at a URL', () => {
  it('are fetched once for all who ask at the same time, and kept', async () => {
    answer = answers(await first!.keySet());
    const found = await Promise.all([1, 2, 3].map(() => keys.keyFor(header('first'))));
    await keys.keyFor(header('first'));
    expect([new Set(found.map(({ key }) => key)).size, asked]).toEqual([1, 1]);
  });

  it('are fetched again for a key that is new, and then it is known', async () => {
    answer = answers(await first!.keySet());
    await keys.keyFor(header('first'));
    answer = answers(await second!.keySet());
    elapsed = ASK_FOR_UNKNOWN_EACH_MS;
    expect(await keys.keyFor(header('second'))).toBeDefined();
    // the key that was withdrawn is none any more
    await expect(keys.keyFor(header('first'))).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey);
  });

  it('are fetched at once when somebody asks for it, and kept when that fails', async () => {
    answer = answers(await first!.keySet());
    await keys.keyFor(header('first'));
    answer = answers({}, 503);
    readFilesAgain();
    await until(() => warnings.length > 0);
    const { counts } = await keys.keyFor(header('first'));
    expect(counts()).toBe(true);
    answer = answers(await second!.keySet());
    elapsed = PAUSE_AFTER_FAILURE_MS;
    readFilesAgain();
    await until(() => !counts());
    await expect(keys.keyFor(header('first'))).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey);
  });

  it('count no longer when they are withdrawn, also for who asks for no other', async () => {
    answer = answers(await first!.keySet(second!));
    const { counts } = await keys.keyFor(header('first'));
    answer = answers(await second!.keySet());
    elapsed = REFRESH_AFTER_MS - 1;
    expect([counts(), asked]).toEqual([true, 1]);
    elapsed = REFRESH_AFTER_MS;
    expect(counts()).toBe(true); // it asks
    await until(() => !counts());
    expect(asked).toBe(2);
  });

  it('are fetched before one is believed that nobody has asked for in long', async () => {
    answer = answers(await first!.keySet(second!));
    await keys.keyFor(header('first'));
    answer = answers(await second!.keySet());
    elapsed = ASK_FIRST_AFTER_MS;
    await expect(keys.keyFor(header('first'))).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey);
    answer = answers({}, 503);
    elapsed += ASK_FIRST_AFTER_MS;
    expect(await keys.keyFor(header('second'))).toBeDefined();
    expect(warnings).toHaveLength(1);
  });

  it('do not count while they are too old to be used', async () => {
    answer = answers(await first!.keySet());
    const { counts } = await keys.keyFor(header('first'));
    answer = answers({}, 503);
    elapsed = UNUSABLE_AFTER_MS - 1;
    expect(counts()).toBe(true);
    await until(() => warnings.length > 0);
    elapsed = UNUSABLE_AFTER_MS;
    expect(counts()).toBe(false);
    answer = answers(await first!.keySet());
    elapsed += PAUSE_AFTER_FAILURE_MS;
    await until(counts);
  });

  it('are not fetched for each unknown key', async () => {
    answer = answers(await first!.keySet());
    await keys.keyFor(header('first'));
    for (let count = 0; count < 100; count++) {
      await expect(keys.keyFor(header(`unknown-${count}`))).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey);
    }
    expect(asked).toBe(1);
    elapsed = ASK_FOR_UNKNOWN_EACH_MS;
    await expect(keys.keyFor(header('unknown'))).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey);
    await expect(keys.keyFor(header('unknown'))).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey);
    expect(asked).toBe(2);
  });

  it('outlast an issuer that is down, but not for ever', async () => {
    answer = answers(await first!.keySet());
    await keys.keyFor(header('first'));
    answer = answers({}, 503);
    elapsed = REFRESH_AFTER_MS;
    expect(await keys.keyFor(header('first'))).toBeDefined();
    await until(() => warnings.length > 0);
    expect(warnings).toEqual([expect.stringContaining('the answer has the status 503')]);
    elapsed = UNUSABLE_AFTER_MS - 1;
    expect(await keys.keyFor(header('first'))).toBeDefined();
    elapsed = UNUSABLE_AFTER_MS + PAUSE_AFTER_FAILURE_MS;
    await expect(keys.keyFor(header('first'))).rejects.toMatchObject({ code: 'AUTHENTICATION_UNAVAILABLE' });
  });

  it.each<[string, () => RequestListener, string]>([
    ['says nothing', () => () => undefined, 'timeout'],
    ['stops in the middle', () => (_request, response) => void response.writeHead(200).write('{"keys":'), 'timeout'],
    ['hangs up', () => (request) => void request.socket.destroy(), 'closed'],
    ['answers garbage', () => (_request, response) => void response.end('<html>'), 'JSON'],
    ['answers nothing', () => (_request, response) => void response.end(), 'JSON'],
    ['answers something else', () => answers({ keys: 'none' }), 'malformed'],
    ['answers a list', () => answers([]), 'malformed'],
    ['answers an error', () => answers({ keys: [] }, 500), 'status 500'],
    [
      'answers without end',
      () => (_request, response) => void response.end('x'.repeat(300_000)),
      'more than 262144 bytes',
    ],
    [
      'sends its askers elsewhere',
      () => (_request, response) => void response.writeHead(302, { location: '/other' }).end(),
      'redirect',
    ],
  ])('of an issuer that %s are an error that passes', async (_name, make, said) => {
    answer = make();
    if (said === 'timeout') timeoutMs = 200;
    await expect(keys.keyFor(header('first'))).rejects.toMatchObject({
      code: 'AUTHENTICATION_UNAVAILABLE',
      retryable: true,
    });
    expect(warnings).toEqual([expect.stringContaining(said)]);
    // a moment later it is not asked again
    await expect(keys.keyFor(header('first'))).rejects.toMatchObject({ code: 'AUTHENTICATION_UNAVAILABLE' });
    expect(warnings).toHaveLength(1);
    answer = answers(await first!.keySet());
    timeoutMs = PATIENT_MS;
    elapsed = PAUSE_AFTER_FAILURE_MS;
    expect(await keys.keyFor(header('first'))).toBeDefined();
  });

  it('that are symmetric are no keys', async () => {
    answer = answers({ keys: [{ kty: 'oct', kid: 'first', k: 'AAAA' }] });
    await expect(keys.keyFor(header('first'))).rejects.toBeInstanceOf(errors.JWKSNoMatchingKey);
    await expect(keys.keyFor({ alg: 'HS256', kid: 'first' })).rejects.toBeInstanceOf(errors.JOSENotSupported);
  });
});
