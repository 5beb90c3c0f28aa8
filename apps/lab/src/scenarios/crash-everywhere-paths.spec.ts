import { describe, expect, it } from '@jest/globals';
import { PARTICIPANT_FAILPOINTS } from '@concordat/participant';
import { pathTo } from './crash-everywhere-paths.js';

const impossibleOn = (link: 'kafka' | 'direct' | 'both'): string[] =>
  PARTICIPANT_FAILPOINTS.filter((point) => pathTo(point, link) === undefined);

describe('the way to a crash point', () => {
  it('is there for each with a broker', () => {
    expect(impossibleOn('kafka')).toEqual([]);
    expect(impossibleOn('both')).toEqual([]);
  });

  it('is not there on direct streams for offsets, and where branches would talk without a coordinator', () => {
    const impossible = impossibleOn('direct');
    expect(impossible).toContain('participant.offsets.before-commit');
    expect(impossible).toContain('participant.branches-decided.after-send');
    expect(impossible).toContain('participant.decision.before-send');
    expect(pathTo('coordinator.participant.before-append', 'direct')).toBeUndefined();
    expect(impossible).not.toContain('participant.decision.received');
    expect(impossible).not.toContain('participant.termination-due.received');
    expect(impossible).not.toContain('participant.ballot-answer.before-send');
  });

  it('to offsets is a message of its own where the load goes over streams', () => {
    expect(pathTo('participant.offsets.after-commit', 'kafka')?.provoke).toBeUndefined();
    expect(pathTo('participant.offsets.after-commit', 'both')?.provoke).toBeDefined();
  });
});
