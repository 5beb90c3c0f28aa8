import { describe, expect, it } from '@jest/globals';
import path from 'node:path';
import {
  inOrder,
  reasonsAgainst,
  reasonsOfAudit,
  wordsOfPublish,
  type PublishingFacts,
} from '../../scripts/publishing.mjs';
import { readWorkspaces } from '../../scripts/workspaces.mjs';

const root = path.resolve(import.meta.dirname, '../..');

/** All that a job of GitHub Actions has in which packages may be published. */
const READY: PublishingFacts = {
  repository: { type: 'git', url: 'git+https://github.com/somebody/concordat.git' },
  environment: {
    GITHUB_ACTIONS: 'true',
    GITHUB_REPOSITORY: 'somebody/concordat',
    ACTIONS_ID_TOKEN_REQUEST_URL: 'https://tokens',
  },
  changesets: ['README.md', 'config.json'],
  missing: [],
};
const ON_GITLAB = { GITLAB_CI: 'true', CI_PROJECT_PATH: 'somebody/concordat' };

describe('publishing', () => {
  it('is allowed in a job with an identity, for the repository that the packages name', () => {
    expect(reasonsAgainst(READY, false)).toEqual([]);
    const url = 'git+https://gitlab.com/somebody/concordat.git';
    const environment = { ...ON_GITLAB, SIGSTORE_ID_TOKEN: 'token' };
    expect(reasonsAgainst({ ...READY, environment, repository: { type: 'git', url } }, false)).toEqual([]);
  });

  it.each<[what: string, change: Partial<PublishingFacts>, told: string]>([
    ['no repository is named', { repository: undefined }, 'has no "repository"'],
    ['it is named by a word alone', { repository: 'github:somebody/concordat' }, '"url": "git+https://'],
    ['nobody could prove where it was built', { environment: {} }, 'not GitHub Actions and not GitLab CI'],
    [
      'the job has no identity',
      { environment: { ...READY.environment, ACTIONS_ID_TOKEN_REQUEST_URL: undefined } },
      'id-token: write',
    ],
    ['the job of GitLab has none', { environment: ON_GITLAB }, 'SIGSTORE_ID_TOKEN'],
    [
      'it is built from another repository',
      { environment: { ...READY.environment, GITHUB_REPOSITORY: 'fork/concordat' } },
      'built from fork/concordat',
    ],
    ['changes wait for a version', { changesets: ['README.md', 'brave-cats.md'] }, 'brave-cats.md of .changeset'],
    ['a tarball is missing', { missing: ['concordat-1.0.0.tgz'] }, 'concordat-1.0.0.tgz is missing'],
  ])('is refused when %s, with what to do', (_what, change, told) => {
    expect(reasonsAgainst({ ...READY, ...change }, false).join('\n')).toContain(told);
  });

  it('is refused when a package that runs is known to be vulnerable, or when nobody knows', () => {
    const sentences = ['parser: it believes everybody'];
    expect(reasonsOfAudit({ kind: 'findings', sentences })).toEqual([`npm audit: ${sentences[0]}`]);
    expect(reasonsOfAudit({ kind: 'unanswered', sentences: ['Nobody knows.'] })).toEqual(['Nobody knows.']);
    expect(reasonsOfAudit({ kind: 'explained', sentences })).toEqual([]);
    expect(reasonsOfAudit({ kind: 'clean', sentences: [] })).toEqual([]);
  });

  it('is tried anywhere, if only the tarballs are there', () => {
    const nowhere = { ...READY, repository: undefined, environment: {}, changesets: ['brave-cats.md'] };
    expect(reasonsAgainst(nowhere, true)).toEqual([]);
    expect(reasonsAgainst({ ...nowhere, missing: ['a.tgz'] }, true)).toHaveLength(1);
  });

  it('begins with what the others need', () => {
    const ordered = inOrder(readWorkspaces(root));
    const names = ordered.map(({ manifest }) => manifest.name);
    expect([...names].sort()).toEqual(
      readWorkspaces(root)
        .map(({ manifest }) => manifest.name)
        .sort(),
    );
    for (const [place, { manifest }] of ordered.entries()) {
      const needed = Object.keys(manifest.dependencies ?? {}).filter((name) => names.includes(name));
      expect(needed.filter((name) => names.indexOf(name) > place)).toEqual([]);
    }
  });

  it('gives a preliminary version a tag of its own', () => {
    expect(wordsOfPublish('a.tgz', '1.0.0', false)).toEqual(['publish', 'a.tgz']);
    expect(wordsOfPublish('a.tgz', '1.0.0-rc.1', true)).toEqual(['publish', 'a.tgz', '--tag', 'next', '--dry-run']);
  });
});
