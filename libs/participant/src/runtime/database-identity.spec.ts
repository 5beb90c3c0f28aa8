import { describe, expect, it } from '@jest/globals';
import {
  abstentionLimit,
  beginOf,
  describeChange,
  type DatabaseIdentity,
  type RecognisedDatabase,
} from './database-identity.js';

const found: DatabaseIdentity = { systemIdentifier: '7', timeline: 2, position: 100n };
const same: RecognisedDatabase = { systemIdentifier: '7', timeline: 2 };

describe('a database', () => {
  it.each<[string, RecognisedDatabase | undefined, DatabaseIdentity | undefined]>([
    ['is seen for the first time', undefined, undefined],
    ['is what its table says', same, undefined],
    ['has gone on', same, { ...found, position: 99n }],
    ['stands still', same, found],
    ['hides its identifier now', { timeline: 2, systemIdentifier: undefined }, undefined],
  ])('that %s has not changed', (_what, stored, remembered) => {
    expect(describeChange(found, stored, remembered)).toBeUndefined();
  });

  it.each<[string, RecognisedDatabase | undefined, DatabaseIdentity | undefined, string]>([
    ['was promoted', { ...same, timeline: 1 }, undefined, 'timeline 2, and was on 1'],
    ['is an older one with its own table', same, { ...found, timeline: 3 }, 'timeline 2, and was on 3'],
    ['came out of a dump', { ...same, systemIdentifier: '6' }, undefined, 'identifier 7, and had 6'],
    ['was exchanged with its table', same, { ...found, systemIdentifier: '6' }, 'identifier 7, and had 6'],
    [
      'was set back to a copy of its files',
      same,
      { ...found, position: 101n },
      'ends at 100 bytes, and had reached 101',
    ],
    ['was emptied', undefined, found, 'lost its stored identity'],
  ])('that %s has changed', (_what, stored, remembered, detail) => {
    expect(describeChange(found, stored, remembered)).toContain(detail);
  });
});

describe('the limit of abstention', () => {
  it('lies behind now, and behind every transaction that was heard of', () => {
    expect(abstentionLimit(1_000, 500)).toBeGreaterThan(1_000);
    expect(abstentionLimit(1_000, 90_000)).toBeGreaterThan(90_000);
  });

  it('is compared with the time in the id of a transaction', () => {
    expect(beginOf('019b76da-a800-7000-8000-000000000001')).toBe(Date.UTC(2026, 0, 1));
    expect(beginOf('no id of version 7')).toBe(Number.MAX_SAFE_INTEGER);
  });
});
