import { describe, expect, it } from '@jest/globals';
import { EventHistory } from './event-history.js';

function idsSince(history: EventHistory, logIndex: number): Set<string> {
  return new Set(history.changedSince(logIndex)?.keys());
}

describe('EventHistory', () => {
  it('gives what changed at an index or later, each once', () => {
    const history = new EventHistory(10, 4);
    history.record(5, 'a');
    history.record(6, 'b');
    history.record(8, 'a');
    expect(idsSince(history, 5)).toEqual(new Set(['a', 'b']));
    expect(idsSince(history, 7)).toEqual(new Set(['a']));
    expect(idsSince(history, 9)).toEqual(new Set());
  });

  it('does not pretend to know what came before it, or what it forgot', () => {
    const history = new EventHistory(2, 4);
    expect(history.changedSince(4)).toBeUndefined();
    expect(idsSince(history, 5)).toEqual(new Set());
    history.record(5, 'a');
    history.record(6, 'b');
    expect(idsSince(history, 5)).toEqual(new Set(['a', 'b']));
    history.record(7, 'c');
    expect(history.changedSince(5)).toBeUndefined();
    expect(idsSince(history, 6)).toEqual(new Set(['b', 'c']));
  });

  it('does not know an entry of which it forgot a part', () => {
    const history = new EventHistory(2, 0);
    for (const transactionId of ['a', 'b', 'c']) history.record(5, transactionId);
    expect(history.changedSince(5)).toBeUndefined();
    expect(idsSince(history, 6)).toEqual(new Set());
  });

  it('begins anew behind a snapshot', () => {
    const history = new EventHistory(10, 0);
    history.record(1, 'a');
    history.restart(9);
    expect(history.changedSince(1)).toBeUndefined();
    expect(history.changedSince(9)).toBeUndefined();
    history.record(10, 'b');
    expect(idsSince(history, 10)).toEqual(new Set(['b']));
  });
});
