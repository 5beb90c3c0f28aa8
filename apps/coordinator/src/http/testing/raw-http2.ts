import { once } from 'node:events';
import { connect, type ConnectionOptions } from 'node:tls';
import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';

/** RFC 9113, section 6. */
const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
} as const;
const CONTINUATION = 9;
const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const LARGEST_FRAME = 16_384;
/** Silence of a server that waits for the rest of a frame. */
const QUIET_MS = 100;

/** In the metadata of a transaction that must not be begun: its request never comes whole. */
export const NEVER = 'never';

export function frame(type: number, flags: number, streamId: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId >>> 0, 5);
  return Buffer.concat([head, payload]);
}

type Field = readonly [name: string, value: string];

/** Literal fields that are not indexed, without Huffman codes (RFC 7541, section 6.2.2). */
export function fields(list: readonly Field[], first = 0x00): Buffer {
  return Buffer.concat(list.flatMap(([name, value]) => [Buffer.from([first]), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  const length: number[] = [];
  let rest = bytes.length;
  if (rest < 127) length.push(rest);
  else {
    length.push(127);
    for (rest -= 127; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

export function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id, 0);
  bytes.writeUInt32BE(value >>> 0, 2);
  return bytes;
}

export const ping = frame(TYPE.ping, 0, 0, Buffer.alloc(8));
export const resetOf = (streamId: number, code = 8): Buffer => frame(TYPE.reset, 0, streamId, uint32(code));
export const settings = (...list: Buffer[]): Buffer => frame(TYPE.settings, 0, 0, Buffer.concat(list));
export const opening = Buffer.concat([PREFACE, settings()]);
export const settingsAck = frame(TYPE.settings, ACK, 0);

export function requestFields(method: string, path: string, more: readonly Field[] = []): Field[] {
  return [[':method', method], [':scheme', 'https'], [':path', path], [':authority', 'a'], ...more];
}

export function headersOf(streamId: number, list: readonly Field[], flags: number = END_HEADERS | END_STREAM): Buffer {
  return block(streamId, fields(list), flags);
}

/** A block of headers in as many frames as it takes. */
function block(streamId: number, bytes: Buffer, flags: number): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += LARGEST_FRAME) {
    const isLast = at + LARGEST_FRAME >= bytes.length;
    const own = at === 0 ? flags & ~END_HEADERS : 0;
    const ends = isLast ? flags & END_HEADERS : 0;
    frames.push(
      frame(at === 0 ? TYPE.headers : CONTINUATION, own | ends, streamId, bytes.subarray(at, at + LARGEST_FRAME)),
    );
  }
  return Buffer.concat(frames);
}

const ID = '01932c07-5a2b-7f13-8c58-0123456789ab';
const JSON_TYPE: Field = ['content-type', 'application/json'];
const GETS = [
  '/healthz',
  '/v1/transactions',
  `/v1/transactions/${ID}`,
  '/v1/cluster',
  '/nothing',
  '/v1/transactions?limit=x',
];
const ODD_FIELDS: readonly Field[] = [
  ...(['connection', 'keep-alive', 'proxy-connection', 'upgrade'] as const).map((name): Field => [name, 'close']),
  ['transfer-encoding', 'chunked'],
  ['te', 'gzip'],
  ['te', 'trailers'],
  ['X-Upper', 'a'],
  ['x space', 'a'],
  ['', 'a'],
  ['x', 'a\r\nb: c'],
  ['x', '\u0000'],
  ['x', ' a '],
  [':path', '/again'],
  [':unknown', 'a'],
  [':status', '200'],
  ['host', 'other'],
  ['content-length', '5'],
  ['content-length', '-1'],
  ['content-length', '99999999999999999999'],
  ['expect', '100-continue'],
  ['expect', 'something'],
  ['authorization', 'Bearer x'],
  ['__proto__', 'x'],
  ['cookie', 'a=b'],
  ['idempotency-key', 'a b'],
  ['x-concordat-forwarded-by', '1'],
  ['x', 'y'.repeat(20_000)],
  ['x', 'y'.repeat(90_000)],
];
const ODD_PATHS = [
  '',
  '*',
  'healthz',
  'http://a/healthz',
  '/%zz',
  '/a b',
  '/#',
  '//',
  '/\u00e4',
  `/${'x'.repeat(5_000)}`,
];
const ODD_METHODS = ['CONNECT', 'get', 'NONSENSE', '', 'HEAD', 'OPTIONS', 'TRACE', 'PATCH', 'P ST'];

/** What a client sends over one connection. */
export interface RawSession {
  readonly bytes: Buffer;
  /** requests that are valid, and come before anything that is not */
  readonly validCount: number;
}

/** Draws what a client may send that nobody should. */
export function drawSession(random: Random): RawSession {
  const parts: Buffer[] = [PREFACE, settings()];
  let [streamId, validCount, isValid] = [1, 0, true];
  for (let count = randomInteger(random, 1, 8); count > 0; count--) {
    if (randomChance(random, 0.4)) {
      parts.push(headersOf(streamId, requestFields('GET', randomItem(random, GETS))));
      if (isValid) validCount++;
    } else {
      isValid = false;
      parts.push(randomItem(random, ODD)(random, streamId));
    }
    streamId += 2;
  }
  let bytes: Buffer = Buffer.concat(parts);
  if (randomChance(random, 0.15)) {
    [bytes, validCount] = [Buffer.from(bytes), 0];
    for (let flips = randomInteger(random, 1, 4); flips > 0; flips--) {
      bytes.writeUInt8(randomInteger(random, 0, 255), randomInteger(random, 0, bytes.length - 1));
    }
  }
  return { bytes, validCount };
}

type Odd = (random: Random, streamId: number) => Buffer;

const never = Buffer.from(JSON.stringify({ metadata: { [NEVER]: true } }));
const post = (streamId: number, more: readonly Field[] = []): Buffer =>
  headersOf(streamId, requestFields('POST', '/v1/transactions', [JSON_TYPE, ...more]), END_HEADERS);

const ODD: readonly Odd[] = [
  // requests
  (random, id) => headersOf(id, requestFields('GET', '/healthz', [randomItem(random, ODD_FIELDS)])),
  (random, id) => headersOf(id, [randomItem(random, ODD_FIELDS), ...requestFields('GET', '/healthz')]),
  (random, id) => headersOf(id, requestFields('GET', randomItem(random, ODD_PATHS))),
  (random, id) => headersOf(id, requestFields(randomItem(random, ODD_METHODS), '/healthz')),
  (random, id) => headersOf(id, requestFields('GET', '/healthz').slice(randomInteger(random, 1, 3))),
  (_, id) =>
    headersOf(
      id,
      requestFields(
        'GET',
        '/healthz',
        Array.from({ length: 300 }, (): Field => ['x', 'y']),
      ),
    ),
  (_, id) =>
    headersOf(id, [
      [':method', 'CONNECT'],
      [':authority', 'a:443'],
      [':protocol', 'websocket'],
    ]),
  // bodies
  (_, id) => Buffer.concat([post(id), frame(TYPE.data, 0, id, never)]),
  (_, id) => Buffer.concat([post(id), frame(TYPE.data, 0, id, never), resetOf(id)]),
  (_, id) => Buffer.concat([post(id), frame(TYPE.data, 0, id, never), resetOf(id, 0)]),
  (_, id) => Buffer.concat([post(id, [['content-length', '500']]), frame(TYPE.data, END_STREAM, id, never)]),
  (_, id) =>
    Buffer.concat([post(id), ...Array.from({ length: 6 }, () => frame(TYPE.data, 0, id, Buffer.alloc(LARGEST_FRAME)))]),
  (random, id) =>
    Buffer.concat([post(id), ...Array.from({ length: randomInteger(random, 1, 200) }, () => frame(TYPE.data, 0, id))]),
  (_, id) => Buffer.concat([post(id), frame(TYPE.data, PADDED, id, Buffer.from([200, 1, 2]))]),
  (_, id) =>
    Buffer.concat([
      post(id),
      frame(TYPE.data, PADDED | END_STREAM, id, Buffer.concat([Buffer.from([9]), Buffer.from('{}'), Buffer.alloc(9)])),
    ]),
  (_, id) => Buffer.concat([post(id), headersOf(id, [['x-trailer', 'a']])]),
  (_, id) => Buffer.concat([post(id), headersOf(id, [['x-trailer', 'a']], END_HEADERS)]),
  (_, id) => Buffer.concat([post(id), headersOf(id, [[':path', '/a']])]),
  // headers
  (_, id) => headersOf(id, requestFields('GET', '/healthz'), END_STREAM),
  (_, id) => Buffer.concat([headersOf(id, requestFields('GET', '/healthz'), END_STREAM), ping]),
  (_, id) => frame(CONTINUATION, END_HEADERS, id, fields([['x', 'y']])),
  (_, id) =>
    Buffer.concat([frame(TYPE.headers, 0, id), ...Array.from({ length: 30 }, () => frame(CONTINUATION, 0, id))]),
  (random, id) =>
    frame(TYPE.headers, END_HEADERS | END_STREAM, id, Buffer.from([randomInteger(random, 0, 255), 0xff, 0xff])),
  // one large field in the table, and hundreds of references to it
  (_, id) => {
    const large = fields([['x', 'y'.repeat(4_000)]], 0x40);
    return block(
      id,
      Buffer.concat([fields(requestFields('GET', '/healthz')), large, Buffer.alloc(250, 0xbe)]),
      END_HEADERS | END_STREAM,
    );
  },
  (_, id) => headersOf(id + 1, requestFields('GET', '/healthz')),
  () => headersOf(0, requestFields('GET', '/healthz')),
  () => headersOf(1, requestFields('GET', '/healthz')),
  // frames of the session
  (random) =>
    settings(setting(randomInteger(random, 0, 9), randomItem(random, [0, 1, 2, 16_383, 2 ** 31, 2 ** 32 - 1]))),
  () => settings(...Array.from({ length: 40 }, () => setting(0x3, 1))),
  () => frame(TYPE.settings, 0, 0, Buffer.alloc(5)),
  () => frame(TYPE.settings, ACK, 0, Buffer.alloc(6)),
  (_, id) => frame(TYPE.settings, 0, id),
  (random) => frame(TYPE.ping, 0, 0, Buffer.alloc(randomInteger(random, 0, 16))),
  (random) => Buffer.concat(Array.from({ length: randomInteger(random, 1, 2_000) }, () => ping)),
  (random, id) =>
    frame(TYPE.window, 0, randomItem(random, [0, 1, id]), uint32(randomItem(random, [0, 1, 2 ** 31 - 1]))),
  (random, id) =>
    frame(TYPE.priority, 0, id, Buffer.concat([uint32(randomItem(random, [0, id, 2 ** 31])), Buffer.from([1])])),
  (_, id) => resetOf(id),
  (_, id) => Buffer.concat([headersOf(id, requestFields('GET', '/v1/events')), resetOf(id)]),
  (_, id) => frame(TYPE.push, END_HEADERS, id, Buffer.concat([uint32(2), fields(requestFields('GET', '/'))])),
  (random) =>
    frame(TYPE.goaway, 0, 0, Buffer.concat([uint32(0), uint32(randomInteger(random, 0, 14)), Buffer.from('bye')])),
  (random, id) =>
    frame(randomInteger(random, 10, 255), randomInteger(random, 0, 255), randomItem(random, [0, id]), Buffer.alloc(30)),
  (_, id) => frame(TYPE.data, 0, id, Buffer.alloc(10)),
  (_, id) => frame(TYPE.data, 0, id, Buffer.alloc(LARGEST_FRAME + 1)),
  (random) => Buffer.from(Array.from({ length: randomInteger(random, 1, 100) }, () => randomInteger(random, 0, 255))),
  () => Buffer.from('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'),
];

/** What came back: how often each status that the server has in its table, and the bytes of all answers as text. */
export interface RawResult {
  readonly text: string;
  readonly isClosed: boolean;
}

/** Sends bytes over a session of their own, until the server has read them, or has closed it. */
export async function exchangeFrames(port: number, tls: ConnectionOptions, bytes: Buffer): Promise<RawResult> {
  const socket = connect({ ...tls, port, host: '127.0.0.1', ALPNProtocols: ['h2'] });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  let [received, quiet, isClosed] = [Buffer.alloc(0) as Buffer, undefined as NodeJS.Timeout | undefined, false];
  await new Promise<void>((resolve) => {
    const rest = (): void => {
      clearTimeout(quiet);
      quiet = setTimeout(resolve, QUIET_MS);
    };
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      rest();
    });
    socket.once('close', () => {
      isClosed = true;
      clearTimeout(quiet);
      resolve();
    });
    socket.write(bytes, rest);
  });
  socket.destroy();
  return { text: received.toString('latin1'), isClosed };
}
