import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { SeededRandom, silentLogger } from '@concordat/foundation';
import { Http2Client } from './testing/http2-client.js';
import { drawSession, exchangeFrames, NEVER } from './testing/raw-http2.js';
import { askSecurely, TestCertificates } from './testing/test-certificates.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const SEED = Number(process.env['CONCORDAT_FUZZ_SEED'] ?? 20_261_130);
/** Of `npm run test:nightly` all, otherwise what fits into the suite. */
const SESSIONS = process.env['CONCORDAT_NIGHTLY'] === '1' ? 20_000 : 200;
const AT_A_TIME = 16;

const certificates = new TestCertificates();
const alice = certificates.client({ roles: ['client'] });
const errors: string[] = [];
let node: TestNode;
let url: string;
beforeAll(async () => {
  const logger = { ...silentLogger, error: (text: string) => void errors.push(text) };
  node = await createTestNode({ ...certificates.node(1), CONCORDAT_REQUEST_TIMEOUT_MS: '10000' }, logger);
  url = await node.listen();
});
afterAll(async () => {
  await node.app.close();
  certificates.remove();
});

it('frames that no client should send end nothing but their session', async () => {
  const port = Number(new URL(url).port);
  const random = new SeededRandom(SEED);
  const faults: string[] = [];
  let [sent, closed, answered] = [0, 0, 0];
  const beside = await Http2Client.connect(url, alice);
  const streamed = beside.open('/v1/events'); // so that it is not idle
  const worker = async (): Promise<void> => {
    while (sent++ < SESSIONS && faults.length < 5) {
      const { bytes, validCount } = drawSession(random);
      const { text, isClosed } = await exchangeFrames(port, alice, bytes);
      if (isClosed) closed++;
      if (validCount > 0 && text.includes('{"')) answered++;
      if (text.includes('"code":"INTERNAL"')) faults.push(`answered 500: ${bytes.toString('base64').slice(0, 4_000)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  expect([SEED, faults, errors]).toEqual([SEED, [], []]);
  expect(JSON.stringify(node.transactions.calls)).not.toContain(NEVER);
  expect((await beside.ask('/v1/transactions', { method: 'POST', body: {} })).status).toBe(201);
  expect(streamed.closed).toBe(false);
  beside.destroy();
  expect((await askSecurely(`${url}/v1/transactions`, alice, { method: 'POST', body: {} })).status).toBe(201);
  expect(closed).toBeGreaterThan(SESSIONS / 10); // what breaks the protocol ends the session
  expect(answered).toBeGreaterThan(SESSIONS / 10); // and what came before was answered
}, 1_200_000);
