import { describe, expect, it } from '@jest/globals';
import { ProcessClaims, type Claimant } from './process-claims.js';

const PATIENCE_MS = 3000;

interface TestProcess extends Claimant {
  open: boolean;
  heard: number;
  alive: number;
}

function aProcess(number: number): TestProcess {
  const made: TestProcess = {
    process: number,
    open: true,
    heard: 0,
    alive: -1,
    isOpen: () => made.open,
    heardAt: () => made.heard,
    aliveAt: () => made.alive,
  };
  return made;
}

/** The first process of node 2, connected, and another one of the same directory. */
function firstAndCopy(): { claims: ProcessClaims; first: TestProcess; copy: TestProcess } {
  const claims = new ProcessClaims(PATIENCE_MS);
  const [first, copy] = [aProcess(1), aProcess(2)];
  expect(claims.claim(2, 7, first, 0)).toBe('accepted');
  return { claims, first, copy };
}

describe('ProcessClaims', () => {
  it('lets the first process of a directory speak, also by another way', () => {
    const { claims } = firstAndCopy();
    expect(claims.claim(2, 7, aProcess(1), 10)).toBe('accepted');
  });

  it('lets a restarted process speak at once when the connection of its predecessor has ended', () => {
    const { claims, first, copy } = firstAndCopy();
    first.open = false;
    expect(claims.claim(2, 7, copy, 10)).toBe('accepted');
  });

  it('finds a second process when the first one answers after the challenge', () => {
    const { claims, first, copy } = firstAndCopy();
    first.alive = 99;
    expect(claims.claim(2, 7, copy, 100)).toBe('wait');
    expect(claims.claim(2, 7, copy, 200)).toBe('wait');
    first.alive = 200;
    expect(claims.claim(2, 7, first, 250)).toBe('accepted'); // by another way, which changes nothing
    expect(claims.claim(2, 7, copy, 300)).toBe('second');
    expect(claims.claim(2, 7, copy, 9 * PATIENCE_MS)).toBe('second');
    expect(claims.claim(2, 7, first, 10 * PATIENCE_MS)).toBe('accepted');
  });

  it('lets another process take the place of one that is connected and silent', () => {
    const { claims, first, copy } = firstAndCopy();
    first.heard = 1000;
    for (let now = 2000; now < 1000 + PATIENCE_MS; now += 500) expect(claims.claim(2, 7, copy, now)).toBe('wait');
    expect(claims.claim(2, 7, copy, 1000 + PATIENCE_MS)).toBe('accepted');
    copy.heard = 2 * PATIENCE_MS;
    expect(claims.claim(2, 7, first, 2 * PATIENCE_MS)).toBe('wait'); // it lived after all
    copy.alive = 2 * PATIENCE_MS;
    expect(claims.claim(2, 7, first, 2 * PATIENCE_MS + 1)).toBe('second');
  });

  it('waits once more when the first one seems silent, because this node may not have read for a while', () => {
    const { claims, first, copy } = firstAndCopy();
    expect(claims.claim(2, 7, copy, 9 * PATIENCE_MS)).toBe('wait');
    first.heard = 9 * PATIENCE_MS;
    expect(claims.claim(2, 7, copy, 9 * PATIENCE_MS + 100)).toBe('wait');
  });

  it('does not take what a dead process had sent for a sign of life, however long it arrives', () => {
    const { claims, first, copy } = firstAndCopy();
    for (let now = 100; now < 5 * PATIENCE_MS; now += 100) {
      first.heard = now;
      expect(claims.claim(2, 7, copy, now)).toBe('wait');
    }
    first.open = false;
    expect(claims.claim(2, 7, copy, 5 * PATIENCE_MS)).toBe('accepted');
  });

  it('begins to count anew when a third process asks', () => {
    const { claims, first, copy } = firstAndCopy();
    expect(claims.claim(2, 7, copy, 0)).toBe('wait');
    expect(claims.claim(2, 7, aProcess(3), 2 * PATIENCE_MS)).toBe('wait');
    expect(claims.claim(2, 7, copy, 2 * PATIENCE_MS + 1)).toBe('wait');
    first.open = false;
    expect(claims.claim(2, 7, copy, 2 * PATIENCE_MS + 2)).toBe('accepted');
  });

  it('does not hear whoever does not hear this process, until it is accepted', () => {
    const claims = new ProcessClaims(PATIENCE_MS);
    expect(claims.listensTo(2)).toBe(true);
    claims.judgedBy(2, 'wait');
    expect([claims.listensTo(2), claims.listensTo(3)]).toEqual([false, true]);
    claims.judgedBy(2, 'second');
    expect(claims.listensTo(2)).toBe(false);
    claims.judgedBy(2, 'accepted');
    expect(claims.listensTo(2)).toBe(true);
  });

  it('has nothing against processes of other nodes and directories', () => {
    const { claims } = firstAndCopy();
    expect(claims.claim(3, 7, aProcess(2), 0)).toBe('accepted');
    expect(claims.claim(2, 8, aProcess(3), 0)).toBe('accepted');
  });

  it('does not remember directories without end', () => {
    const claims = new ProcessClaims(PATIENCE_MS);
    for (let incarnation = 1; incarnation <= 2000; incarnation++) {
      const gone = aProcess(incarnation);
      expect(claims.claim(2, incarnation, gone, 0)).toBe('accepted');
      gone.open = false;
    }
    expect(claims['holders'].size).toBeLessThan(600);
  });
});
