import { describe, expect, it } from '@jest/globals';
import { chosenScenarios, listScenarios } from './run.js';
import { securedBeside } from './secured-system.js';

function choose(link: 'kafka' | 'direct' | 'both', ...names: string[]): { names: string[]; said: string[] } {
  const said: string[] = [];
  const chosen = chosenScenarios(names, link, (line) => said.push(line));
  return { names: chosen.map(({ name }) => name), said };
}

describe('the scenarios of a link', () => {
  it('"all" leaves out those that need another link, with a line for each', () => {
    const { names, said } = choose('direct', 'all');
    expect(names).toContain('kill-leader');
    expect(names).toContain('no-kafka');
    expect(names).not.toContain('kill-kafka');
    expect(said).toContain('kill-kafka is left out on the link direct: it needs the link kafka or both');
    expect(said).toContain('cut-links is left out on the link direct: it needs the link both');
    expect(new Set([...names, ...said.map((line) => line.split(' ')[0])]).size).toBe(listScenarios().length - 1);
  });

  it('one that is named must make sense on the link', () => {
    expect(choose('both', 'kill-kafka', 'cut-links').names).toEqual(['kill-kafka', 'cut-links']);
    expect(() => choose('direct', 'kill-kafka')).toThrow(
      'kill-kafka cannot run on the link direct: it needs the link kafka or both.',
    );
    expect(() => choose('kafka', 'kill-the-moon')).toThrow('There is no scenario "kill-the-moon"');
  });

  it('one that needs no system runs on every link', () => {
    for (const link of ['kafka', 'direct', 'both'] as const)
      expect(choose(link, 'unsafe-3pc').names).toEqual(['unsafe-3pc']);
  });

  it('those that need a secured system get one of their own, away from a plain one', () => {
    const plain = { directory: '.concordat', portOffset: 10, only: [], link: undefined, isSecure: undefined };
    expect(securedBeside(plain, 'kafka')).toMatchObject({
      directory: '.concordat-secure',
      portOffset: 610,
      link: 'both',
      isSecure: true,
    });
    expect(securedBeside(plain, 'direct').link).toBe('direct');
    expect(listScenarios().find((line) => line.startsWith('intruder '))).toContain('kafka, direct, both, secured');
    expect(listScenarios().find((line) => line.startsWith('kill-leader '))).not.toContain('secured');
  });

  it('the list has a line for each, with its links', () => {
    expect(listScenarios()[0]).toMatch(/^scenario +links/);
    expect(listScenarios().find((line) => line.startsWith('kill-kafka '))).toMatch(/ kafka, both +kill -9/);
  });
});
