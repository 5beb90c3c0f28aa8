// What must hold before packages are published, and how that is done. docs/packages.md explains it.

/** A package after those that it needs: nobody can install one whose dependencies are not there yet. */
export function inOrder(packages) {
  const ordered = [];
  const add = (item) => {
    if (ordered.includes(item)) return;
    const needed = Object.keys(item.manifest.dependencies ?? {});
    for (const other of packages) if (needed.includes(other.manifest.name)) add(other);
    ordered.push(item);
  };
  for (const item of packages) add(item);
  return ordered;
}

/** The words behind `npm`. A version such as 1.0.0-rc.1 gets a tag of its own: nobody installs it unasked. */
export function wordsOfPublish(tarball, version, isDryRun) {
  const isPreliminary = version.includes('-');
  return ['publish', tarball, ...(isPreliminary ? ['--tag', 'next'] : []), ...(isDryRun ? ['--dry-run'] : [])];
}

/**
 * Why nothing may be published, in sentences that say what to do; empty when it may.
 *
 * @param repository as it stands in the package.json of the root
 * @param environment of this process
 * @param changesets names of the files in .changeset
 * @param missing tarballs that are not there
 */
export function reasonsAgainst({ repository, environment, changesets, missing }, isDryRun) {
  const always = missing.map((name) => `${name} is missing; run "npm run packages:publish", which packs first`);
  if (isDryRun) return always;
  const pending = changesets.filter((name) => name.endsWith('.md') && name !== 'README.md');
  return [
    ...always,
    ...reasonsOfRepository(repository),
    ...reasonsOfIdentity(environment, repository),
    ...(pending.length === 0
      ? []
      : [
          `${pending.join(', ')} of .changeset did not get into a version; run "npm run packages:version" and commit it`,
        ]),
  ];
}

/**
 * The same for what is known of the dependencies, which the registry is asked for when nothing else is against it. Nobody
 * can say that a package is sound of whose dependencies nothing is known.
 */
export function reasonsOfAudit({ kind, sentences }) {
  if (kind === 'findings') return sentences.map((sentence) => `npm audit: ${sentence}`);
  return kind === 'unanswered' ? sentences : [];
}

const PROVENANCE = 'npm proves where a package was built only';

function reasonsOfRepository(repository) {
  if (repository === undefined) {
    return [`The package.json of the root has no "repository": ${PROVENANCE} for a public repository that it names.`];
  }
  if (typeof repository?.url === 'string' && repository.type === 'git') return [];
  return [
    '"repository" in the package.json of the root must be { "type": "git", "url": "git+https://…/….git" }: a folder is added to it for each package.',
  ];
}

/** As npm finds out, so late that some packages would be published and others not. */
function reasonsOfIdentity(environment, repository) {
  const { GITHUB_ACTIONS, GITLAB_CI, ACTIONS_ID_TOKEN_REQUEST_URL, SIGSTORE_ID_TOKEN } = environment;
  if (!GITHUB_ACTIONS && !GITLAB_CI) {
    return [`This is not GitHub Actions and not GitLab CI: ${PROVENANCE} by one of them.`];
  }
  if (GITHUB_ACTIONS && !ACTIONS_ID_TOKEN_REQUEST_URL) {
    return ['The job has no identity; give it "permissions: { contents: read, id-token: write }".'];
  }
  if (GITLAB_CI && !SIGSTORE_ID_TOKEN) {
    return ['The job has no identity; give it "id_tokens: { SIGSTORE_ID_TOKEN: { aud: sigstore } }".'];
  }
  const here = GITHUB_ACTIONS ? environment.GITHUB_REPOSITORY : environment.CI_PROJECT_PATH;
  const named = repository?.url ?? '';
  if (named.replace(/\.git$/, '').endsWith(`/${here}`)) return [];
  return [
    `This is built from ${here}, and "repository" in the package.json of the root names ${named}; npm would refuse it.`,
  ];
}
