import { describe, expect, it } from '@jest/globals';
import { SnapshotSending } from './snapshot-sending.js';

const TIMEOUT_TICKS = 3;
const IDENTITY = { index: 9, term: 2 };

/** A transfer whose receiver was asked what it has, and sent the first piece. */
function sendingWithOnePiece(): SnapshotSending {
  const sending = new SnapshotSending(2, 100, TIMEOUT_TICKS);
  sending.takeRead();
  sending.sent(IDENTITY, 0);
  answer(sending, 0);
  sending.takeRead();
  sending.sent(IDENTITY, 100);
  return sending;
}

function answer(sending: SnapshotSending, nextOffset: number): void {
  sending.answered({
    type: 'snapshot-chunk-reply',
    from: 2,
    to: 1,
    term: 3,
    snapshotIndex: IDENTITY.index,
    snapshotTerm: IDENTITY.term,
    nextOffset,
  });
}

describe('a snapshot under transfer', () => {
  it('goes on with the piece that the receiver wants next', () => {
    const sending = sendingWithOnePiece();
    answer(sending, 100);
    expect(sending.takeRead()).toMatchObject({ offset: 100, maxBytes: 100 });
  });

  it('does not send a piece again at once that was not taken, as by a full disk', () => {
    const sending = sendingWithOnePiece();
    answer(sending, 0);
    expect(sending.hasRead()).toBe(false);
    for (let tick = 0; tick < TIMEOUT_TICKS; tick++) sending.tick();
    expect(sending.takeRead()).toMatchObject({ snapshot: undefined, offset: 0, maxBytes: 0 });
  });

  it('goes back when the receiver has forgotten what it had', () => {
    const sending = sendingWithOnePiece();
    answer(sending, 100);
    sending.takeRead();
    sending.sent(IDENTITY, 100);
    answer(sending, 0);
    expect(sending.takeRead()).toMatchObject({ offset: 0, maxBytes: 100 });
  });
});
