import { describe, expect, it } from '@jest/globals';
import { parseGid } from '@concordat/commit-protocol';
import { foreignGids } from './orphans.js';

describe('gids of the scenario', () => {
  it.each([...foreignGids('local')])('a gid %s is none of the cluster', (_what, gid) => {
    expect(parseGid(gid)?.cluster).not.toBe('local');
    expect(gid.length).toBeLessThan(200);
  });
});
