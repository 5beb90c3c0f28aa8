import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { PARTICIPANT_FAILPOINTS } from '@concordat/participant';
import { COORDINATOR_FAILPOINTS } from '../../../apps/coordinator/src/index.js';
import { COORDINATOR_CRASH_POINTS } from './coordinator-crash-points.js';
import { withCrashPoints } from './crash-points-document.js';
import { PARTICIPANT_CRASH_POINTS } from './participant-crash-points.js';

const FILE = fileURLToPath(new URL('../../../docs/protocols.md', import.meta.url));

describe('the crash points in docs/protocols.md', () => {
  it('are what the catalogues say (CONCORDAT_UPDATE_DOCS=1 writes them anew)', () => {
    const text = readFileSync(FILE, 'utf8');
    const expected = withCrashPoints(text);
    if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(FILE, expected);
    expect(readFileSync(FILE, 'utf8')).toBe(expected);
  });

  it('are all that can be armed, each once', () => {
    const armable = [...COORDINATOR_FAILPOINTS, ...PARTICIPANT_FAILPOINTS];
    const known = [...Object.keys(COORDINATOR_CRASH_POINTS), ...Object.keys(PARTICIPANT_CRASH_POINTS)];
    expect([...armable].sort()).toEqual(known.sort());
    expect(new Set(armable).size).toBe(armable.length);
  });

  it('keep the names that documents and scripts have used before', () => {
    expect(COORDINATOR_FAILPOINTS).toEqual(
      expect.arrayContaining([
        'coordinator.begin.before-append',
        'coordinator.begin.after-append',
        'coordinator.prepare.after-send',
        'coordinator.resolve.before-append',
        'coordinator.decide.before-append',
        'coordinator.decide.after-append',
        'coordinator.decision.after-send',
        'coordinator.end.before-append',
      ]),
    );
    expect(PARTICIPANT_FAILPOINTS).toEqual(
      expect.arrayContaining([
        'participant.prepare.received',
        'participant.prepare.before-prepare',
        'participant.prepare.after-prepare',
        'participant.vote.after-send',
        'participant.commit.before-commit',
        'participant.commit.after-commit',
        'participant.abort.before-rollback',
      ]),
    );
  });

  it('refuses a document without a place for them', () => {
    expect(() => withCrashPoints('# Protocols\n')).toThrow('lacks the lines');
  });
});
