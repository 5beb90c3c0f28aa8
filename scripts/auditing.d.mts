/** A finding that does not apply here, and why; it counts to a day, so that somebody looks again. */
export interface ExplainedFinding {
  /** such as GHSA-0000-0000-0000 */
  readonly advisory: string;
  readonly package: string;
  readonly because: string;
  /** YYYY-MM-DD */
  readonly until: string;
}

export interface AuditFacts {
  /** what `npm audit --json` printed, parsed; undefined: it printed no JSON */
  readonly report: unknown;
  /** package-lock.json */
  readonly lock: { readonly packages: Readonly<Record<string, { readonly dev?: boolean }>> };
  readonly explained: readonly ExplainedFinding[];
  /** YYYY-MM-DD */
  readonly today: string;
}

export interface AuditJudgement {
  /** `explained`: there are findings, and none of them concerns what runs without being explained */
  readonly kind: 'clean' | 'explained' | 'findings' | 'unanswered';
  readonly sentences: readonly string[];
}

export function judgeAudit(facts: AuditFacts): AuditJudgement;
