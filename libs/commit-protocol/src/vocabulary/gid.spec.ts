import { describe, expect, it } from '@jest/globals';
import { formatGid, isClusterName, parseGid } from './gid.js';

const T = '01890000-0000-7000-8000-000000000001';
const B = '01890000-0000-7000-8000-00000000000b';

describe('gid', () => {
  it('5 names cluster, transaction and branch, and is taken apart again', () => {
    const gid = formatGid('prod-1', T, B);
    expect(gid).toBe(`concordat:prod-1:${T}:${B}`);
    expect(parseGid(gid)).toEqual({ cluster: 'prod-1', transactionId: T, branchId: B });
  });

  it('5 stays under 200 bytes with the longest cluster name', () => {
    expect(formatGid('c'.repeat(63), T, B).length).toBeLessThan(200);
  });

  it.each([
    ['of another program', `xa:prod:${T}:${B}`],
    ['with too few parts', `concordat:prod:${T}`],
    ['with too many parts', `concordat:prod:${T}:${B}:x`],
    ['without UUIDs', 'concordat:prod:1:2'],
    ['of no possible cluster', `concordat:PROD:${T}:${B}`],
    ['in capitals', `concordat:prod:${T}:${B.toUpperCase()}`],
    ['that is empty', ''],
  ])('5 leaves a gid %s alone', (_name, gid) => {
    expect(parseGid(gid)).toBeUndefined();
  });

  it.each(['', 'A', '-a', 'a:b', "a'", 'a_b', 'é', 'c'.repeat(64)])('5 refuses the cluster name "%s"', (name) => {
    expect(isClusterName(name)).toBe(false);
    expect(() => formatGid(name, T, B)).toThrow('a gid names a valid cluster');
  });

  it('5 is made of UUIDs only', () => {
    expect(() => formatGid('prod', T, "x'; DROP TABLE accounts; --")).toThrow('a gid is made of UUIDs');
  });
});
