import { METHODS } from 'node:http';
import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';

/** Bytes that one connection carries: requests, one after the other without waiting, each mutated or not. */
export interface RawExchange {
  readonly bytes: Buffer;
  readonly requestCount: number;
}

interface Draft {
  method: string;
  target: string;
  version: string;
  headers: string[];
  body: Buffer;
  /** how the body is announced */
  framing: 'length' | 'chunked' | 'none' | 'as-is';
}

const ID = '01932c07-5a2b-7f13-8c58-0123456789ab'; // of no transaction
const WORK = '{"branches":[{"participant":"nobody","operation":"debit","payload":{"account":"acc-1","amount":5}}]}';
const POSTS: readonly (readonly [target: string, body: string])[] = [
  ['/v1/transactions/execute', WORK],
  ['/v1/transactions/execute?waitMs=5&wait=ended', WORK],
  ['/v1/transactions', '{"timeoutMs":100}'],
  [`/v1/transactions/${ID}/commit?waitMs=0`, '{}'],
  [`/v1/transactions/${ID}/abort?waitMs=0`, ''],
  [`/v1/transactions/${ID}/branches`, '{"participant":"nobody","operation":"debit","payload":{}}'],
  [`/v1/transactions/${ID}/resolve`, '{"action":"abort","operator":"anna","reason":"a test"}'],
  ['/v1/cluster/members', '{"nodeId":77,"raftUrl":"nowhere","httpUrl":"http://h:2","role":"voter"}'],
  ['/v1/cluster/leader', '{"nodeId":77777}'],
];
const GETS = [
  `/v1/transactions/${ID}`,
  `/v1/transactions/${ID}?consistency=stale`,
  '/v1/transactions/7/events',
  '/v1/events?since=3',
  '/v1/transactions?status=committed&limit=1',
  '/v1/in-doubt?limit=3',
  '/v1/cluster',
  '/healthz',
  '/nothing/there',
] as const;

/** What stands in a target where it should not, or may stand there and is rare. */
const TARGET_PARTS = [
  ...['#', '#/../x', '#%zz', '%zz', '%', '%0', '%00', '%c0%af', '%2e%2e/', '%2F', '%3F', '/..', '/../', '/./', '//'],
  ...['\\', '?', '??', '?a=b', '&a=b', '?waitMs=1&waitMs=2', ';x=y', '"', '<', '{', '|', '^', '`', "'", '[', ']', '@'],
  ...['\u0000', '\t', ' ', '\r', '\u007f', '\u00e4', '\u00ff', '*', ':', 'http://x/', '%65', '%25', '+', '~'],
] as const;
const PREFIXES = [
  ...['http://host', 'HTTP://HOST:80', 'https://host', 'http://[::1]:8081', 'http://u:p@host', 'http://', 'ftp://host'],
  ...['http:', 'http:///', '//host', '*', 'host:443', '.', '', 'http://host#', 'http://host?', 'http://%zz', 'a://b'],
] as const;
const VERSIONS = [
  'HTTP/1.0',
  'HTTP/1.0',
  'HTTP/0.9',
  'HTTP/1.2',
  'HTTP/2.0',
  'HTTP/1',
  'http/1.1',
  'HTTP/1.11',
  'X',
  '',
];
const STRANGE_METHODS = [...METHODS, 'get', 'FOO', 'PRI', 'POST\u0000', '', ' ', 'P@ST', '\u00e4'];
const HEADERS = [
  ...['Host: second', 'Host:', 'Host : a', 'Host: a b', 'Connection: close', 'Connection: keep-alive, upgrade'],
  ...['Connection: content-length', 'Connection: transfer-encoding', 'Connection: host', 'Connection: content-type'],
  ...['Upgrade: websocket', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA', 'Expect: 100-continue'],
  ...['Expect: something', 'TE: trailers', 'TE: gzip', 'Trailer: X-After', 'Keep-Alive: timeout=1', 'Via: 1.1 x'],
  ...['Content-Type: text/plain', 'Content-Type: application/json; charset=latin1', 'Content-Type:', 'Content-Type: /'],
  ...['Content-Type: application/JSON', 'Content-Type: application/json, text/plain', 'Content-Encoding: gzip'],
  ...['Idempotency-Key: a b', 'Idempotency-Key:', 'Last-Event-ID: x', 'Last-Event-ID: 99999999999999999999'],
  ...['Accept-Version: 1.x', 'Accept: text/html', 'Origin: null', 'X: a\r\n folded', 'X: a\r\n\tfolded', ' X: leading'],
  ...['X\u0000: a', 'X: \u0000', 'X: a\u0001b', 'X: \u00e4\u00ff', ': no name', 'no colon', 'X: a\nY: b', 'X: a\rY: b'],
  ...['__proto__: x', 'constructor: x', 'Content-Length: 0', 'Content-Length: 5', 'Content-Length: -1'],
  ...['Content-Length: +5', 'Content-Length: 0x5', 'Content-Length: 1e1', 'Content-Length: 5, 5', 'Content-Length:'],
  ...['Content-Length: 99999999999999999999', 'Content-Length: 2000000', 'Transfer-Encoding: chunked'],
  ...['Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked, gzip', 'Transfer-Encoding: identity'],
  ...['Transfer-Encoding: xchunked', 'Transfer-Encoding:', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
  ...['Transfer-Encoding : chunked', 'Transfer-Encoding:\u000bchunked', `X: ${'x'.repeat(20_000)}`],
] as const;
const CHUNK_FAULTS = [
  ...['5\r\nab', 'ffffffffffffffff\r\n', 'zz\r\nab\r\n', '-1\r\n', '0x2\r\nab\r\n0\r\n\r\n', '2\r\nabc\r\n0\r\n\r\n'],
  ...[
    '2\nab\n0\n\n',
    '0\r\nX-After: a\r\n\r\n',
    '0\r\nContent-Length: 5\r\n\r\n',
    `0\r\n${'X: y\r\n'.repeat(500)}\r\n`,
  ],
  ...['2;ext="a\r\nb"\r\n{}\r\n0\r\n\r\n', `2;${'e'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`, '0\r\n folded\r\n\r\n', ''],
] as const;
const BODY_PARTS = [
  ...['"', '{', '}', '[', '\u0000', '__proto__', '"constructor":{"prototype":1}', '9007199254740993', '1e999', 'null'],
  ...['\\ud800', ',', '\u00e4', '['.repeat(70), '"timeoutMs":1,', '\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n'],
] as const;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0000\u0004\u0000\u0000\u0000\u0000\u0000';

/** The last request of every exchange: its answer shows that the connection was still in order. */
export const CLOSING_REQUEST = 'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

/**
 * Draws what a client that is broken or hostile could send over one connection. Requests in front of the last one have
 * whole frames, so that each is read; the last one may break the framing, and with it the connection.
 */
export function drawExchange(random: Random): RawExchange {
  const requestCount = randomInteger(random, 1, 24);
  const parts: Buffer[] = [];
  for (let index = 1; index < requestCount; index++) parts.push(serialise(drawFramed(random)));
  parts.push(drawLast(random), Buffer.from(CLOSING_REQUEST));
  return { bytes: Buffer.concat(parts), requestCount };
}

function drawPlain(random: Random): Draft {
  const headers = ['Host: coordinator'];
  if (randomChance(random, 0.5)) {
    const [target, text] = randomItem(random, POSTS);
    const framing = randomItem(random, ['length', 'length', 'chunked'] as const);
    headers.push('Content-Type: application/json');
    return { method: 'POST', target, version: 'HTTP/1.1', headers, body: Buffer.from(text), framing };
  }
  const method = randomItem(random, ['GET', 'GET', 'GET', 'HEAD', 'DELETE']);
  return {
    method,
    target: randomItem(random, GETS),
    version: 'HTTP/1.1',
    headers,
    body: Buffer.alloc(0),
    framing: 'none',
  };
}

/** Mutated, but so that its end can be found: what follows is read as the next request. */
function drawFramed(random: Random): Draft {
  const draft = drawPlain(random);
  if (randomChance(random, 0.85)) mutateTarget(draft, random, false);
  if (randomChance(random, 0.15))
    draft.method = randomItem(
      random,
      METHODS.filter((method) => method !== 'CONNECT'),
    );
  if (randomChance(random, 0.3)) mutateBody(draft, random);
  if (draft.framing === 'none' && randomChance(random, 0.1))
    [draft.framing, draft.body] = ['length', Buffer.from('{}')];
  return draft;
}

function drawLast(random: Random): Buffer {
  if (randomChance(random, 0.02)) return Buffer.from(PREFACE, 'latin1');
  const draft = drawPlain(random);
  const mutations = [
    () => mutateTarget(draft, random, true),
    () => (draft.method = randomItem(random, STRANGE_METHODS)),
    () => (draft.version = randomItem(random, VERSIONS)),
    () => mutateHeaders(draft, random),
    () => mutateHeaders(draft, random),
    () => mutateBody(draft, random),
    () => mutateFraming(draft, random),
  ];
  for (let count = randomInteger(random, 1, 3); count > 0; count--) randomItem(random, mutations)();
  // A question is answered before its body has come, so whether that is done when the body breaks is a matter of chance.
  if (draft.method !== 'POST' && announcesBody(draft)) draft.target = '/nothing/there';
  const bytes = serialise(draft);
  return randomChance(random, 0.1) ? mutateBytes(bytes, random) : bytes;
}

function announcesBody({ framing, headers }: Draft): boolean {
  return framing !== 'none' || headers.some((header) => /^(?:content-length|transfer-encoding)/i.test(header));
}

function mutateTarget(draft: Draft, random: Random, anything: boolean): void {
  const { target } = draft;
  const part = anything
    ? randomItem(random, TARGET_PARTS)
    : randomItem(random, TARGET_PARTS).replace(/[\0\t \r\x7f]/g, '');
  const at = randomInteger(random, 0, target.length);
  draft.target = randomItem(random, [
    () => `${randomItem(random, PREFIXES)}${target}`,
    () => `${target}${part}`,
    () => `${target.slice(0, at)}${part}${target.slice(at)}`,
    () => `${target.slice(0, at)}${part}${target.slice(at + 1)}`,
    () => target.slice(0, at) || '/',
    () => target.toUpperCase(),
    () => encodeURIComponent(target),
    () => target.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
    () => `${target}${'/x'.repeat(randomInteger(random, 1, 200))}`,
    () => `${target}${'a'.repeat(randomItem(random, [10, 100, 1_000, 4_000]))}`,
    () => `${randomItem(random, PREFIXES)}${target}${part}`,
  ])();
  // the parser itself takes no other beginning, and would read no further
  if (!anything && !/^(?:[/*]|[a-z]+:\/\/)/i.test(draft.target)) draft.target = `/${draft.target}`;
}

function mutateHeaders(draft: Draft, random: Random): void {
  const { headers } = draft;
  const at = randomInteger(random, 0, headers.length);
  randomItem(random, [
    () => headers.splice(at, 0, randomItem(random, HEADERS)),
    () => headers.splice(at, 0, randomItem(random, HEADERS)),
    () => headers.splice(at, 1),
    () => headers.splice(at, 0, ...Array.from({ length: 2_100 }, (_, index) => `X-${index}: a`)),
  ])();
}

function mutateBody(draft: Draft, random: Random): void {
  const { body } = draft;
  const at = randomInteger(random, 0, body.length);
  const part = Buffer.from(randomItem(random, BODY_PARTS));
  draft.body = randomItem(random, [
    () => Buffer.concat([body.subarray(0, at), part, body.subarray(at)]),
    () => Buffer.concat([body.subarray(0, at), part, body.subarray(at + part.length)]),
    () => body.subarray(0, at),
    () => mutateBytes(body, random),
    () => (randomChance(random, 0.01) ? Buffer.alloc(1_100_000, ' ') : Buffer.concat([body, body])),
  ])();
  if (draft.framing === 'none' && draft.body.length > 0) draft.framing = 'length';
}

function mutateFraming(draft: Draft, random: Random): void {
  const { headers, body } = draft;
  draft.framing = 'as-is';
  randomItem(random, [
    () => headers.push(`Content-Length: ${body.length + randomItem(random, [1, 5, 1_000, -1, -body.length])}`),
    () => headers.push(`Content-Length: ${body.length}`, `Content-Length: ${body.length + 1}`),
    () => headers.push(`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked'),
    () => {
      headers.push('Transfer-Encoding: chunked');
      draft.body = Buffer.from(randomItem(random, CHUNK_FAULTS));
    },
    () => {
      headers.push('Transfer-Encoding: chunked');
      const trailer = randomItem(random, ['X-After: a', 'Content-Length: 5', 'Host: b', ' X: a', 'X']);
      draft.body = Buffer.from(`${body.length.toString(16)};a=b\r\n${body.toString()}\r\n0\r\n${trailer}\r\n\r\n`);
    },
    () => undefined, // a body that is not announced: read as the next request
  ])();
}

function mutateBytes(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return bytes;
  const mutated = Buffer.from(bytes);
  for (let count = randomInteger(random, 1, 4); count > 0; count--) {
    mutated[randomInteger(random, 0, mutated.length - 1)] = randomInteger(random, 0, 255);
  }
  return randomChance(random, 0.3) ? mutated.subarray(0, randomInteger(random, 1, mutated.length)) : mutated;
}

function serialise({ method, target, version, headers, body, framing }: Draft): Buffer {
  const lines = [`${method} ${target} ${version}`.trimEnd(), ...headers];
  if (framing === 'length') lines.push(`Content-Length: ${body.length}`);
  if (framing === 'chunked') lines.push('Transfer-Encoding: chunked');
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  if (framing !== 'chunked') return Buffer.concat([head, framing === 'none' ? Buffer.alloc(0) : body]);
  const chunk = body.length === 0 ? '' : `${body.length.toString(16)}\r\n`;
  return Buffer.concat([
    head,
    Buffer.from(chunk),
    body,
    Buffer.from(body.length === 0 ? '0\r\n\r\n' : '\r\n0\r\n\r\n'),
  ]);
}
