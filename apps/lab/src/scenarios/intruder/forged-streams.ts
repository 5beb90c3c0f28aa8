import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { guarded } from '@concordat/foundation';
import type { LocalSecurity } from '../../local-system/security/local-security.js';
import { participantOwner, nodeOwner } from '../../local-system/security/certificates.js';
import type { Wire } from '../wire.js';
import type { Attempt } from './attempts.js';
import { say, type Shown } from './sockets.js';
import type { Target } from './target.js';

/** Kinds of frames of a direct stream, as far as an intruder needs them. */
const FRAMES = { hello: 1, messages: 6 } as const;
/** gRPC status 16: the caller is not who he says he is. */
const UNAUTHENTICATED = /^gRPC status 16: /;
const CLOSED = /^the connection is closed/;

/** Who somebody is by his certificate: none, a stranger's, and those of others. */
interface Papers {
  readonly none: Shown;
  readonly plain: Shown;
  readonly stranger: Shown;
  readonly otherCluster: Shown;
  readonly bankC: Shown;
}

export function papersOf(security: LocalSecurity, name: string, role: 'node' | 'participant'): Papers {
  const { certificates } = security;
  const owner = role === 'node' ? nodeOwner(Number(name)) : participantOwner(name);
  const { certificate, key } = security.certificatesOf('bank-c');
  return {
    none: {},
    plain: undefined,
    stranger: certificates.issue(owner, { isForged: true }),
    otherCluster: certificates.issue(owner, { clusterName: 'blue' }),
    bankC: { cert: readFileSync(certificate), key: readFileSync(key) },
  };
}

/** Hellos and messages at the port for direct streams of a coordinator. */
export function forgedHellos(port: number, wire: Wire, target: Target, security: LocalSecurity): Attempt[] {
  const papers = papersOf(security, 'bank-a', 'participant');
  const hello = helloOf(wire.cluster, 'bank-a');
  const attempt = (what: string, shown: Shown, expected: RegExp, bytes = hello): Attempt => ({
    what,
    expected,
    run: async () => describe(await say(port, shown, bytes)),
  });
  const { transactionId, missing } = target;
  const vote = {
    type: 'vote',
    transactionId,
    branchId: missing.branchId,
    participant: 'bank-b',
    vote: 'yes',
    results: [],
  };
  const asBankC = Buffer.concat([helloOf(wire.cluster, 'bank-c'), messageOf('replies', wire.encode(vote))]);
  return [
    attempt('the hello of bank-a, in plain text', papers.plain, CLOSED),
    attempt('the hello of bank-a, without a certificate', papers.none, CLOSED),
    attempt('the hello of bank-a, with a certificate of another authority', papers.stranger, CLOSED),
    attempt('the hello of bank-a, with a certificate of another cluster', papers.otherCluster, CLOSED),
    attempt('the hello of bank-a, with the stolen certificate of bank-c', papers.bankC, /NOT_YOU/),
    attempt(
      'as bank-c, with its stolen certificate: the vote yes of bank-b',
      papers.bankC,
      /welcome.*not closed/,
      asBankC,
    ),
  ];
}

/** Says hello at the port for direct streams, and returns the answer. */
export async function sayHello(port: number, shown: Shown, cluster: string, participant: string): Promise<string> {
  return describe(await say(port, shown, helloOf(cluster, participant)));
}

/** A node of the group that is none, at the port of a coordinator for the others. */
export function forgedNodes(port: number, nodeId: number, cluster: string, security: LocalSecurity): Attempt[] {
  const other = nodeId === 2 ? 3 : 2;
  const papers = papersOf(security, String(other), 'node');
  const attempt = (what: string, shown: Shown, expected: RegExp): Attempt => ({
    what: `a stream of node ${other}, ${what}`,
    expected,
    run: () => callAsNode(port, shown, { cluster, from: other, to: nodeId }),
  });
  return [
    attempt('in plain text', papers.plain, CLOSED),
    attempt('without a certificate', papers.none, CLOSED),
    attempt('with a certificate of another authority', papers.stranger, CLOSED),
    attempt('with a certificate of another cluster', papers.otherCluster, UNAUTHENTICATED),
    attempt('with the stolen certificate of bank-c', papers.bankC, UNAUTHENTICATED),
  ];
}

/** The first frame of a direct stream: a length, the kind, JSON. */
function helloOf(cluster: string, participant: string): Buffer {
  const instance = `intruder-${randomUUID()}`;
  return frameOf(FRAMES.hello, Buffer.from(JSON.stringify({ v: 1, cluster, participant, instance })));
}

/** A frame with one message: nothing acknowledged, the topic with its length, the message with its length. */
function messageOf(topic: string, value: Buffer): Buffer {
  const lengths = [Buffer.alloc(4), Buffer.from([topic.length]), Buffer.from(topic), Buffer.alloc(4), value];
  lengths[3]!.writeUInt32BE(value.length);
  return frameOf(FRAMES.messages, Buffer.concat(lengths));
}

function frameOf(kind: number, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length + 1);
  head.writeUInt8(kind, 4);
  return Buffer.concat([head, body]);
}

/** The frames of an answer are JSON; their lengths do not matter here. */
function describe({ answer, isClosed }: { readonly answer: Buffer; readonly isClosed: boolean }): string {
  const text = answer
    .toString('latin1')
    .replaceAll(/[^ -~]+/g, ' ')
    .trim();
  const said = text.includes('"nodeId"') ? `welcome ${text}` : text;
  const end = isClosed ? 'the connection is closed' : 'the connection is not closed';
  return said === '' ? end : `${said.slice(0, 160)}; ${end}`;
}

interface Claim {
  readonly cluster: string;
  readonly from: number;
  readonly to: number;
}

/** Opens the stream of a node as gRPC does, and returns its status. */
export function callAsNode(port: number, shown: Shown, { cluster, from, to }: Claim): Promise<string> {
  return new Promise((resolve, reject) => {
    const authority = `${shown ? 'https' : 'http'}://127.0.0.1:${port}`;
    const session = connectHttp2(
      authority,
      shown && {
        createConnection: () =>
          connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...shown }),
      },
    );
    const end = (text: string): void => {
      session.destroy();
      resolve(text);
    };
    const guardedClosed = guarded(() => end('the connection is closed'), reject);
    session.on('error', guardedClosed);
    session.on('close', guardedClosed);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/concordat.raft.v1.RaftTransport/Exchange',
      'content-type': 'application/grpc',
      te: 'trailers',
      'concordat-cluster-bin': Buffer.from(cluster).toString('base64'),
      'concordat-from': String(from),
      'concordat-to': String(to),
    });
    stream.on('error', guardedClosed);
    const read = (headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void => {
      const status = headers['grpc-status'];
      if (status !== undefined)
        end(`gRPC status ${String(status)}: ${decodeURIComponent(String(headers['grpc-message']))}`);
    };
    stream.on('response', guarded(read, reject));
    stream.on('trailers', guarded(read, reject));
    stream.resume();
  });
}
