import type { AuditJudgement } from './auditing.mjs';
import type { Workspace } from './workspaces.mjs';

/** What is looked at before anything is published. */
export interface PublishingFacts {
  /** as it stands in the package.json of the root */
  readonly repository: unknown;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** names of the files in .changeset */
  readonly changesets: readonly string[];
  /** tarballs that are not there */
  readonly missing: readonly string[];
}

/** A package after those that it needs. */
export function inOrder<Item extends Pick<Workspace, 'manifest'>>(packages: readonly Item[]): readonly Item[];

/** The words behind `npm`. */
export function wordsOfPublish(tarball: string, version: string, isDryRun: boolean): readonly string[];

/** Why nothing may be published, in sentences that say what to do; empty when it may. */
export function reasonsAgainst(facts: PublishingFacts, isDryRun: boolean): readonly string[];

/** The same for what is known of the dependencies. */
export function reasonsOfAudit(audit: AuditJudgement): readonly string[];
