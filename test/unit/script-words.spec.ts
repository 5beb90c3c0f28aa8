import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');

/** Without a program on the path, so that none of them can do anything. */
function run(script: string, ...words: string[]): { status: number | null; output: string } {
  const file = path.join(root, 'scripts', script);
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...words], { encoding: 'utf8', env: {} });
  return { status, output: stdout + stderr };
}

describe.each([
  ['pack.mjs', 'npm run pack'],
  ['publish.mjs', 'npm run packages:publish'],
  ['pin-images.mjs', 'npm run images:pin'],
  ['audit.mjs', 'npm run audit:dependencies'],
])('scripts/%s', (script, command) => {
  it('says what it does when it is asked, and does nothing', () => {
    const { status, output } = run(script, '--help');
    expect(output).toMatch(new RegExp(`^Usage: ${command}\\b`));
    expect(output.split('\n').length).toBeLessThan(10);
    expect(status).toBe(0);
  });

  it('refuses a word that it does not know, and does nothing', () => {
    const { status, output } = run(script, '--dryrun');
    expect(output).toMatch(new RegExp(`^There is no option "--dryrun"\\.\n\nUsage: ${command}\\b`));
    expect(status).toBe(1);
  });
});
