import { describe, expect, it } from '@jest/globals';
import { isUuid, uuidV7Time } from '@concordat/foundation';
import { parseGid } from '@concordat/commit-protocol';
import { foreignGids, uuidV7 } from './orphans.js';

describe('ids and gids of the scenario', () => {
  it('makes ids as a coordinator does', () => {
    const id = uuidV7(1_760_000_000_000);
    expect(isUuid(id)).toBe(true);
    expect(uuidV7Time(id)).toBe(1_760_000_000_000);
  });
  it.each([...foreignGids('local')])('a gid %s is none of the cluster', (_what, gid) => {
    expect(parseGid(gid)?.cluster).not.toBe('local');
    expect(gid.length).toBeLessThan(200);
  });
});
