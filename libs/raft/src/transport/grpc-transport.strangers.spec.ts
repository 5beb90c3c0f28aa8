import { connect } from 'node:net';
import { Metadata } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from '@jest/globals';
import { randomInteger, SeededRandom } from '@concordat/foundation';
import { identityMetadata } from './exchange-service.js';
import { MalformedFrameError } from './frame-limits.js';
import { decodeFrame } from './message-decoder.js';
import { encodeFrame } from './message-encoder.js';
import { mutateFrame, sampleFrames } from './testing/mutated-frames.js';
import { between } from '../core/testing/members.js';
import { expectToHear, termsOf, TransportHarness, until, vote, type TestNode } from './testing/transport-harness.js';

const harness = new TransportHarness();
const asNode2 = identityMetadata({ clusterName: 'test', ...between(2, 1) });

/** Sends bytes to the port and waits until the node ends the connection, or until `patienceBytes` were answered. */
function speakNonsense(node: TestNode, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(node.transport.port, '127.0.0.1', () => socket.end(bytes));
    socket.resume();
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    harness.onEnd(() => void socket.destroy());
  });
}

afterEach(() => harness.end());

describe('GrpcTransport among strangers', () => {
  it('refuses another cluster, another addressee, itself and a nameless caller', async () => {
    const node = await harness.start(1);
    const identity = { clusterName: 'test', ...between(2, 1) };
    const refused = [
      [{ ...identity, clusterName: 'blue' }, 'the caller is of cluster "blue", this node of "test"'],
      [{ ...identity, to: 3 }, 'the caller looks for node 3, but this is node 1'],
      [{ ...identity, from: 1 }, 'the caller says it is node 1, but that is this one'],
      [{ ...identity, from: 0 }, 'the caller does not say which node it is'],
      [{ ...identity, from: 2 ** 48 + 1 }, 'the caller does not say which node it is'],
      [undefined, 'the caller does not say which node it is'],
    ] as const;
    for (const [claim, details] of refused) {
      const metadata = claim ? identityMetadata(claim) : new Metadata();
      const answer = await harness.call(node.address, metadata, [encodeFrame([vote(2, 1, 1)])]);
      expect(answer.details).toBe(details);
      expect(node.warnings.some((line) => line.includes(details))).toBe(true);
    }
    expect(node.received).toEqual([]);
    expect(node.transport.counters.refusedStreams).toBe(6);
  });

  it('tells the refused node why, once, and does not call it connected', async () => {
    const first = await harness.start(1);
    const second = await harness.start(2, { seeds: new Map([[1, first.address]]), clusterName: 'blue' });
    await until(() => first.transport.counters.refusedStreams >= 3, 'it was refused repeatedly');
    expect(second.transport.isConnected(1)).toBe(false);
    expect(second.warnings).toEqual([expect.stringContaining('the caller is of cluster "blue", this node of "test"')]);
    expect(first.warnings.filter((line) => line.startsWith('refused'))).toHaveLength(1);
  });

  it('drops messages that do not fit their stream', async () => {
    const node = await harness.start(1);
    void harness.call(node.address, asNode2, [encodeFrame([vote(3, 1, 1), vote(2, 3, 2), vote(2, 1, 3)])]);
    await until(() => node.received.length > 0, 'the message has arrived');
    expect(termsOf(node)).toEqual([3]);
    expect(node.transport.counters.misaddressedMessages).toBe(2);
  });

  it('ends a stream with a malformed frame and goes on', async () => {
    const { first, second } = await harness.startPair();
    const frames = [encodeFrame([vote(2, 1, 1)]), Buffer.from('rubbish'), encodeFrame([vote(2, 1, 2)])];
    const answer = await harness.call(first.address, asNode2, frames);
    expect(answer.details).toBe('a frame could not be read');
    expect(termsOf(first)).toEqual([1]);
    expect(first.transport.counters.malformedFrames).toBe(1);
    await until(() => second.transport.isConnected(1), 'the replaced stream is there again');
    await until(() => {
      second.transport.send([vote(2, 1, 9)]);
      return termsOf(first).includes(9);
    }, 'the real node is heard');
  });
});

describe('GrpcTransport and bad input', () => {
  const seed = Number(process.env['FUZZ_SEED'] ?? 20_250_102);
  const replay = `FUZZ_SEED=${seed} npm run jest -- --selectProjects unit -- grpc-transport.strangers`;

  it('counts and refuses 300 mutated frames, one stream each', async () => {
    const node = await harness.start(1);
    const random = new SeededRandom(seed);
    const originals = sampleFrames();
    const frames = Array.from({ length: 300 }, () => mutateFrame(random, originals));
    const malformed = frames.filter(isMalformed).length;
    const client = harness.client(node.address);
    for (let at = 0; at < frames.length; at += 10) {
      const calls = frames.slice(at, at + 10).map((frame, offset) => {
        const metadata = identityMetadata({ clusterName: 'test', from: 2 + offset, to: 1 });
        return { frame, answer: harness.callOnce(client, metadata, [frame]) };
      });
      for (const { frame, answer } of calls) {
        const { details } = await answer;
        if ((details === 'a frame could not be read') !== isMalformed(frame))
          throw new Error(`${frame.toString('hex')} was answered by "${details}"; replay: ${replay}`);
      }
    }
    expect(node.transport.counters.malformedFrames).toBe(malformed);
    expect(malformed).toBeGreaterThan(100);
    await expectToHear(harness, node);
  });

  it('survives random bytes, HTTP/1 and half a greeting at its port', async () => {
    const node = await harness.start(1);
    const random = new SeededRandom(seed);
    const greeting = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const randomBytes = (): Buffer =>
      Buffer.from(Array.from({ length: randomInteger(random, 1, 400) }, () => randomInteger(random, 0, 255)));
    const nonsense = [
      Buffer.from('GET / HTTP/1.1\r\nhost: example\r\n\r\n'),
      Buffer.from('POST /concordat.raft.v1.RaftTransport/Exchange HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n'),
      greeting.subarray(0, 10),
      greeting,
      ...Array.from({ length: 50 }, randomBytes),
      ...Array.from({ length: 50 }, () => Buffer.concat([greeting, randomBytes()])),
    ];
    await Promise.all(nonsense.map((bytes) => speakNonsense(node, bytes)));
    expect(node.received).toEqual([]);
    await expectToHear(harness, node);
  });
});

function isMalformed(frame: Buffer): boolean {
  try {
    decodeFrame(frame);
    return false;
  } catch (error) {
    if (error instanceof MalformedFrameError) return true;
    throw error;
  }
}
