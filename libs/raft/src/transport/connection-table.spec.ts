import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import {
  ConnectionTable,
  IDLE_CONNECTION_MS,
  MAXIMUM_CONNECTIONS,
  SIGN_OF_LIFE_BYTES,
  SILENT_STREAM_MS,
  UNACCEPTED_BYTES,
} from './connection-table.js';

const MAXIMUM_UNFINISHED_BYTES = 10_000_000;

class FakeConnection {
  bytesRead = 0;
  isOpen = true;

  destroy(): void {
    this.isOpen = false;
  }
}

class Harness {
  readonly clock = new VirtualClock();
  readonly refused: string[] = [];
  readonly table = new ConnectionTable({
    clock: this.clock,
    maximumUnfinishedBytes: MAXIMUM_UNFINISHED_BYTES,
    onRefused: (name, reason) => this.refused.push(`${name}: ${reason}`),
  });

  connect(name: string): FakeConnection {
    const connection = new FakeConnection();
    this.table.add(name, connection);
    return connection;
  }

  pass(durationMs: number): void {
    this.clock.advance(durationMs);
  }
}

const PEER = (): boolean => true;
const STRANGER = (): boolean => false;

describe('a connection without a stream', () => {
  it('is ended after a while', () => {
    const harness = new Harness();
    const connection = harness.connect('a');
    harness.pass(IDLE_CONNECTION_MS - 1_000);
    expect(connection.isOpen).toBe(true);
    harness.pass(1_000);
    expect(connection.isOpen).toBe(false);
    expect(harness.refused).toEqual(['a: it has had no stream for too long']);
    expect(harness.table.size).toBe(0);
  });

  it('stays while it asks for one, and is refused', () => {
    const harness = new Harness();
    const connection = harness.connect('a');
    for (let second = 0; second < 60; second++) {
      harness.table.attempted('a');
      connection.bytesRead += 300;
      harness.pass(1_000);
    }
    expect(connection.isOpen).toBe(true);
  });

  it('is ended when it sends on and on, also after it has lost its stream', () => {
    const harness = new Harness();
    const [one, other] = [harness.connect('a'), harness.connect('b')];
    const track = harness.table.opened('b', PEER);
    one.bytesRead = UNACCEPTED_BYTES + 1;
    other.bytesRead = 100 * UNACCEPTED_BYTES;
    track.frameRead();
    track.closed();
    harness.pass(250);
    expect([one.isOpen, other.isOpen]).toEqual([false, true]);
    other.bytesRead += UNACCEPTED_BYTES + 1;
    harness.pass(250);
    expect(other.isOpen).toBe(false);
  });

  it('makes room for another, the longest idle one first; one with a stream never does', () => {
    const harness = new Harness();
    const connections = Array.from({ length: MAXIMUM_CONNECTIONS }, (_, at) => {
      harness.pass(1);
      return harness.connect(`host:${at}`);
    });
    harness.table.opened('host:0', STRANGER);
    harness.table.attempted('host:1');
    const late = harness.connect('late');
    expect(connections.map(({ isOpen }) => isOpen).indexOf(false)).toBe(2);
    expect([late.isOpen, harness.table.size]).toEqual([true, MAXIMUM_CONNECTIONS]);
    for (let at = 0; at < MAXIMUM_CONNECTIONS; at++) harness.table.opened(`host:${at}`, STRANGER);
    harness.table.opened('late', STRANGER);
    expect(harness.connect('too late').isOpen).toBe(false);
    expect(harness.table.size).toBe(MAXIMUM_CONNECTIONS);
  });
});

describe('a stream', () => {
  it('is ended when nothing comes for too long', () => {
    const harness = new Harness();
    const connection = harness.connect('a');
    const track = harness.table.opened('a', PEER);
    for (let minute = 0; minute < 10; minute++) {
      track.frameRead();
      harness.pass(SILENT_STREAM_MS - 1_000);
    }
    expect(connection.isOpen).toBe(true);
    harness.pass(1_000);
    expect(connection.isOpen).toBe(false);
    expect(harness.refused).toEqual(['a: its stream has been silent for too long']);
  });

  it('lives on while a large frame comes in slowly, but not by answers to pings', () => {
    const harness = new Harness();
    const [slow, silent] = [harness.connect('slow'), harness.connect('silent')];
    harness.table.opened('slow', PEER);
    harness.table.opened('silent', PEER);
    const stepMs = SILENT_STREAM_MS / 2;
    for (let step = 0; step < 10; step++) {
      slow.bytesRead += SIGN_OF_LIFE_BYTES;
      silent.bytesRead += 17;
      harness.pass(stepMs);
    }
    expect([slow.isOpen, silent.isOpen]).toEqual([true, false]);
  });

  it('of a stranger may not hold the memory with frames that are never whole; that of a peer may', () => {
    const harness = new Harness();
    const strangers = Array.from({ length: 20 }, (_, at) => {
      const connection = harness.connect(`host:${at}`);
      const track = harness.table.opened(`host:${at}`, STRANGER);
      return { connection, track };
    });
    const peer = harness.connect('peer');
    harness.table.opened('peer', PEER);
    peer.bytesRead = 10 * MAXIMUM_UNFINISHED_BYTES;
    for (const { connection } of strangers) connection.bytesRead = 1_000_000;
    harness.pass(250);
    const open = strangers.filter(({ connection }) => connection.isOpen);
    expect([open.length, peer.isOpen]).toEqual([10, true]);
    for (const { track } of open) track.frameRead(); // now they are whole
    for (const { connection } of open) connection.bytesRead += 900_000;
    harness.pass(250);
    expect(open.every(({ connection }) => connection.isOpen)).toBe(true);
  });
});

describe('the table', () => {
  it('sets no timer while nobody is connected', () => {
    const harness = new Harness();
    expect(harness.clock.nextDueAt()).toBeUndefined();
    const connection = harness.connect('a');
    expect(harness.clock.nextDueAt()).toBeDefined();
    harness.table.remove('a', connection);
    harness.pass(1_000);
    expect(harness.clock.nextDueAt()).toBeUndefined();
  });

  it('follows a connection that goes on as another object', () => {
    const harness = new Harness();
    const [raw, secured] = [harness.connect('a'), new FakeConnection()];
    harness.table.replace('a', secured);
    harness.table.remove('a', raw);
    expect(harness.table.size).toBe(1);
    harness.table.stop();
    expect([secured.isOpen, harness.table.size]).toEqual([false, 0]);
    expect(harness.clock.nextDueAt()).toBeUndefined();
  });
});
