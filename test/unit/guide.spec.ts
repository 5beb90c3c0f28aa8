import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GuideRun } from '../packages/guide-run.js';
import { sectionOf, stepsOf } from '../packages/guide.js';

const block = (first: string, ...lines: readonly string[]): string => ['```' + first, ...lines, '```', ''].join('\n');

describe('a guide that a test follows', () => {
  let run: GuideRun;
  beforeEach(() => void (run = new GuideRun()));
  afterEach(async () => {
    await run.end();
    run.remove();
  });

  async function follow(...markdown: readonly string[]): Promise<void> {
    for (const step of stepsOf(markdown.join('\n'))) await run.follow(step);
  }

  it('has files, commands with what they print, and services with what they print among other lines', async () => {
    await follow(
      block('sh', 'mkdir shop', 'cd shop'),
      'Save this as `src/a.txt`:\n',
      block('json src/a.txt', '"one"'),
      block('sh', 'cat src/a.txt', 'basename "$PWD"'),
      block('text', '"one"', 'shop'),
      block('sh keeps-running', "sh -c 'echo first; echo second; sleep 1000'"),
      block('text', 'second'),
    );
  });

  it.each([
    ['prints something else', [block('sh', 'echo 2'), block('text', '3')], 'the guide says that it prints\n3'],
    ['fails', [block('sh', 'echo why', 'false', 'true')], 'this failed (1):\necho why\nfalse'],
    ['ends', [block('sh keeps-running', 'echo end'), block('text', 'ready')], 'it ended with 0:\nend'],
    [
      'saves a file that no text names',
      ['Save:\n', block('ts src/a.ts', '')],
      'the text before src/a.ts does not name',
    ],
    ['has code that nobody saves', [block('ts', 'const a = 1;')], 'nobody knows what to do with the block'],
    ['does not say when a service is ready', [block('sh keeps-running', 'true')], 'nobody knows what to do'],
  ])('is wrong when it %s', async (_what, markdown, sentence) => {
    await expect(follow(...markdown)).rejects.toThrow(sentence);
  });

  it('may be followed from another folder, with other commands in the place of some', async () => {
    await follow(block('sh', 'mkdir here', 'cd here'));
    const other = new GuideRun({ folder: run.place, insteadOf: { 'npx make it': 'echo made' } });
    for (const step of stepsOf(block('sh', 'npx make it', 'basename "$PWD"') + block('text', 'made', 'here'))) {
      await other.follow(step);
    }
    other.remove();
  });

  it('has sections, which end with the next heading of their level', () => {
    const markdown = ['# A', '## B', 'b', '### C', 'c', '## D', 'd', ''].join('\n');
    expect(sectionOf(markdown, '## B')).toBe('## B\nb\n### C\nc\n');
    expect(sectionOf(markdown, '### C')).toBe('### C\nc\n');
    expect(sectionOf(markdown, '## D')).toBe('## D\nd\n');
    expect(() => sectionOf(markdown, '## E')).toThrow('no section "## E"');
  });
});
