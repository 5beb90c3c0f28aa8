import type { ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { ClientSession } from './http2-session.js';

const LIMITS = { headersTimeoutMs: 1_000, idleTimeoutMs: 10_000 };
const CHECK_MS = 250;
const KIB = 1024;

const socket = { bytesRead: 0 };
const state = { lastProcStreamID: 0 };
const session = { pendingSettingsAck: false, state };
let now = 0;
let client: ClientSession;
beforeEach(() => {
  now = 5_000;
  socket.bytesRead = 0;
  state.lastProcStreamID = 0;
  session.pendingSettingsAck = false;
  client = new ClientSession(socket as TLSSocket, session as unknown as ServerHttp2Session, LIMITS, now);
});

/** What ends the session first within this time, in checks as the server makes them. */
function endWithin(durationMs: number, meanwhile: () => void = () => undefined): string | undefined {
  for (const until = now + durationMs; now < until;) {
    now += CHECK_MS;
    meanwhile();
    const end = client.check(now);
    if (end) return `${end.reason} ${end.code}`;
  }
  return undefined;
}

function request(streamId: number, headerBytes = 100): void {
  state.lastProcStreamID = streamId;
  socket.bytesRead += headerBytes;
  client.onRequest(streamId, headerBytes, false);
}

describe('the time of a session', () => {
  it('ends when no request comes', () => expect(endWithin(2_000)).toBe('no request in time 0'));

  it('ends when our settings are not confirmed', () => {
    session.pendingSettingsAck = true;
    request(1);
    expect(endWithin(2_000)).toBe('no settings in time 4');
  });

  it('goes on while a request is open, and ends some time after the last one', () => {
    request(1);
    request(3);
    client.onEnded(false, now);
    expect(endWithin(60_000)).toBeUndefined();
    client.onEnded(false, now);
    expect(endWithin(LIMITS.idleTimeoutMs - CHECK_MS)).toBeUndefined();
    request(5);
    client.onEnded(false, now);
    expect(endWithin(LIMITS.idleTimeoutMs - CHECK_MS)).toBeUndefined();
    expect(endWithin(1_000)).toBe('idle 0');
  });

  it('ends when headers do not come whole, beside a request that stays open', () => {
    request(1);
    expect(endWithin(3_000)).toBeUndefined();
    state.lastProcStreamID = 3;
    socket.bytesRead += 1;
    expect(endWithin(LIMITS.headersTimeoutMs)).toBeUndefined();
    expect(endWithin(1_000)).toBe('unfinished headers 0');
  });

  it('goes on when they do', () => {
    request(1);
    for (let streamId = 3; streamId < 40; streamId += 2) {
      state.lastProcStreamID = streamId;
      socket.bytesRead += 1;
      expect(endWithin(500)).toBeUndefined();
      request(streamId);
    }
  });
});

describe('what a session may send', () => {
  it('is not bounded for headers and bodies', () => {
    const streams = { next: 1 };
    const traffic = (): void => {
      for (let count = 0; count < 100; count++) {
        request(streams.next, 8 * KIB);
        socket.bytesRead += 60;
        for (let piece = 0; piece < 16; piece++) {
          socket.bytesRead += 16 * KIB + 9;
          client.onBody(16 * KIB);
        }
        client.onEnded(false, now);
        streams.next += 2;
      }
    };
    expect(endWithin(30_000, traffic)).toBeUndefined();
  });

  it('is a window for each piece of an answer', () => {
    request(1);
    const reading = (): void => {
      for (let piece = 0; piece < 10_000; piece++) {
        client.onPiece();
        socket.bytesRead += 2 * 13; // of the stream and of the connection
      }
    };
    expect(endWithin(30_000, reading)).toBeUndefined();
  });

  it('is a ping now and then', () => {
    request(1);
    expect(endWithin(30_000, () => (socket.bytesRead += 100 * 17))).toBeUndefined();
  });

  it.each([
    ['all at once', 400 * KIB, 0],
    ['all the time', 0, 20 * KIB],
  ])('is bounded for all other frames: %s', (_when, atOnce, each) => {
    request(1);
    socket.bytesRead += atOnce;
    expect(endWithin(60_000, () => (socket.bytesRead += each))).toBe('frames 11');
  });

  it('is bounded for requests that are given up', () => {
    let streamId = 1;
    const giveUp = (count: number) => (): void => {
      for (let one = 0; one < count; one++) {
        request((streamId += 2));
        client.onEnded(true, now);
      }
    };
    expect(endWithin(30_000, giveUp(5))).toBeUndefined();
    expect(endWithin(30_000, giveUp(10))).toBe('resets 11');
  });
});
