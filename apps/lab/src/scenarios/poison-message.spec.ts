import { describe, expect, it } from '@jest/globals';
import { LIMITS } from '@concordat/commit-protocol';
import { decodeMessage, MessageDecodeError } from '@concordat/messaging';
import type { TappedMessage } from './kafka-tap.js';
import { letterProblems, type Expected } from './poison-message.js';
import { hugePoisons, poisons, type Poison } from './poison.js';
import { Wire } from './wire.js';

const sent: TappedMessage = {
  topic: 'concordat.local.replies',
  partition: 0,
  offset: 7,
  key: Buffer.from('k'),
  value: Buffer.from('v'),
  headers: {},
};
const wire = Wire.of({ clusterName: 'local', topicPrefix: 'concordat' });
const poison = { what: 'text', value: sent.value, reason: 'NOT_JSON' };
const expected: Expected = { sent, poison };
const letter = (changes: Partial<TappedMessage> = {}, reason = 'NOT_JSON', offset = 7): TappedMessage => ({
  ...sent,
  topic: 'concordat.local.dead-letter',
  headers: {
    'concordat-reason': reason,
    'concordat-original-topic': 'concordat.local.replies',
    'concordat-original-partition': '0',
    'concordat-original-offset': String(offset),
  },
  ...changes,
});

describe('dead letters', () => {
  it('are right when each unreadable message is there once, as it was', () => {
    expect(letterProblems([expected], [letter()])).toEqual([]);
  });
  it.each([
    ['a missing one', [], '0 dead letters instead of 1'],
    ['a second one', [letter(), letter()], '2 dead letters instead of 1'],
    ['another reason', [letter({}, 'NOT_UTF8')], 'a dead letter with NOT_UTF8 instead of NOT_JSON'],
    ['another key', [letter({ key: null })], 'its key is another one'],
    ['another value', [letter({ value: Buffer.from('w') })], 'its value is another one'],
    ['one of a message that is good', [letter(), letter({}, 'NOT_JSON', 8)], 'a dead letter that was not expected'],
  ])('%s is found', (_what, letters, problem) => {
    expect(letterProblems([expected], letters)).toEqual([expect.stringContaining(problem)]);
  });
  it('are not wanted of messages that can be read', () => {
    const readable: Expected = { sent, poison: { what: 'for others', value: sent.value } };
    expect(letterProblems([readable], [])).toEqual([]);
    expect(letterProblems([readable], [letter()])).toHaveLength(1);
  });
  it('may be skipped by a new leader, but not doubled', () => {
    expect(letterProblems([{ ...expected, mayBeSkipped: true }], [])).toEqual([]);
    expect(letterProblems([{ ...expected, mayBeSkipped: true }], [letter(), letter()])).toHaveLength(1);
  });
});

const all: readonly Poison[] = [...poisons(wire, 'bank-a'), ...hugePoisons(wire, 'bank-a')];

/** For what a reader puts a message aside; undefined: it can read it. */
function refusalOf(value: Buffer | null): string | undefined {
  try {
    decodeMessage(wire.cluster, value);
    return undefined;
  } catch (error) {
    if (error instanceof MessageDecodeError) return error.reason;
    throw error;
  }
}

describe('poison', () => {
  it.each(all)('$what is refused by the readers for its reason', ({ value, reason }) => {
    expect(refusalOf(value)).toBe(reason);
  });
  it('is never larger than a broker takes', () => {
    const largest = Math.max(...all.map(({ value }) => value?.length ?? 0));
    expect(largest).toBe(LIMITS.messageBytes + 1);
  });
  it('comes in every reason for which a message is refused', () => {
    const reasons = all.map(({ reason }) => reason ?? 'ignored');
    expect([...new Set(reasons)].sort()).toEqual([
      'INVALID_FIELD',
      'NOT_A_MESSAGE',
      'NOT_JSON',
      'NOT_UTF8',
      'OTHER_CLUSTER',
      'TOO_LARGE',
      'UNKNOWN_TYPE',
      'UNKNOWN_VERSION',
      'ignored',
    ]);
  });
});
