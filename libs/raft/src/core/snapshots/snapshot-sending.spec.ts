import { describe, expect, it } from '@jest/globals';
import { between } from '../testing/members.js';
import { SnapshotSending } from './snapshot-sending.js';

const TIMEOUT_TICKS = 10;
const SIZE_BYTES = 1000;
const IDENTITY = { index: 9, term: 2 };
const metadata = { ...IDENTITY, configuration: { groupId: 1, members: [], voters: [2], outgoing: [], learners: [] } };

/** A transfer whose receiver was asked what it has. */
function askedFor(maximumInflightChunks: number): SnapshotSending {
  const sending = new SnapshotSending(2, { chunkBytes: 100, maximumInflightChunks, timeoutTicks: TIMEOUT_TICKS });
  send(sending);
  return sending;
}

/** Reads and sends all that may be sent now. @returns the offsets */
function send(sending: SnapshotSending): number[] {
  const offsets: number[] = [];
  while (sending.hasRead()) {
    const { offset, maximumBytes } = sending.takeRead();
    const data = new Uint8Array(Math.min(maximumBytes, SIZE_BYTES - offset));
    if (sending.read({ metadata, sizeBytes: SIZE_BYTES, offset, data })) offsets.push(offset);
  }
  return offsets;
}

function answer(sending: SnapshotSending, nextOffset: number): void {
  sending.answered({
    type: 'snapshot-chunk-reply',
    ...between(2, 1),
    term: 3,
    snapshotIndex: IDENTITY.index,
    snapshotTerm: IDENTITY.term,
    nextOffset,
  });
}

function ticks(sending: SnapshotSending, count: number): void {
  for (let tick = 0; tick < count; tick++) sending.tick();
}

describe('a snapshot under transfer', () => {
  it('goes on with the piece that the receiver wants, as many at a time as the window has room for', () => {
    const sending = askedFor(3);
    answer(sending, 200);
    expect(send(sending)).toEqual([200, 300, 400]);
    answer(sending, 300);
    expect(send(sending)).toEqual([500]);
    answer(sending, 600);
    expect(send(sending)).toEqual([600, 700, 800]);
    answer(sending, 900);
    expect(send(sending)).toEqual([900]);
    answer(sending, 1000);
    expect(send(sending)).toEqual([]);
  });

  it('sends little twice over a link that is so narrow that pieces wait for each other', () => {
    const sending = askedFor(8);
    const queue: number[] = [];
    let received = 0;
    let sent = 0;
    answer(sending, 0);
    for (let tick = 0; received < SIZE_BYTES; tick++) {
      const offsets = send(sending);
      sent += offsets.length;
      queue.push(...offsets);
      sending.tick();
      expect(tick).toBeLessThan(60);
      if (tick % 3 > 0) continue;
      const offset = queue.shift();
      if (offset === received) received += 100;
      if (offset !== undefined) answer(sending, received);
    }
    expect(sent).toBeLessThanOrEqual(2 * (SIZE_BYTES / 100)); // each at most twice
  });

  it('asks again soon when the first piece, or its answer, is lost', () => {
    const sending = askedFor(3);
    ticks(sending, 1);
    expect(sending.hasRead()).toBe(false);
    ticks(sending, 1);
    expect(sending.takeRead()).toMatchObject({ snapshot: IDENTITY, offset: 0, maximumBytes: 0 });
  });

  it('goes back once when a piece is lost, however often it is told so', () => {
    const sending = askedFor(4);
    answer(sending, 0);
    expect(send(sending)).toEqual([0, 100, 200, 300]);
    for (const offset of [100, 100, 100]) answer(sending, offset); // 100 is lost: 200 and 300 do not follow
    expect(send(sending)).toEqual([100, 200, 300, 400]);
    answer(sending, 100);
    expect(send(sending)).toEqual([]);
    answer(sending, 200);
    expect(send(sending)).toEqual([500]);
  });

  it('sends what is wanted again, alone and ever less often, when nothing is heard; then begins anew', () => {
    const sending = askedFor(4);
    answer(sending, 100);
    send(sending);
    const again: (readonly [number, number[]])[] = [];
    for (let tick = 1; tick < TIMEOUT_TICKS; tick++) {
      sending.tick();
      const offsets = send(sending);
      if (offsets.length > 0) again.push([tick, offsets]);
    }
    expect(again).toEqual([
      [2, [100]],
      [6, [100]],
    ]);
    ticks(sending, 1);
    expect(sending.takeRead()).toMatchObject({ snapshot: undefined, offset: 0, maximumBytes: 0 });
  });

  it('does not send a piece again at once that was not taken, as by a full disk', () => {
    const sending = askedFor(1);
    answer(sending, 0);
    expect(send(sending)).toEqual([0]);
    answer(sending, 0);
    expect(sending.hasRead()).toBe(false);
  });

  it('goes back when the receiver has forgotten what it had', () => {
    const sending = askedFor(2);
    answer(sending, 800);
    send(sending);
    answer(sending, 0);
    expect(send(sending)).toEqual([0, 100]);
  });

  it('drops a piece that is read only after it has gone elsewhere', () => {
    const sending = askedFor(2);
    answer(sending, 100);
    const { offset } = sending.takeRead();
    answer(sending, 500);
    expect(sending.read({ metadata, sizeBytes: SIZE_BYTES, offset, data: new Uint8Array(100) })).toBe(false);
    expect(send(sending)).toEqual([500, 600]);
  });
});
