// What the findings of `npm audit` mean for this repository. docs/security.md explains it.

/** At most so many findings are named. */
const MAXIMUM_NAMED = 50;

/**
 * @param report what `npm audit --json` printed, parsed; undefined: it printed no JSON
 * @param lock package-lock.json, parsed
 * @param explained scripts/audit-explained.json, parsed
 * @param today YYYY-MM-DD
 */
export function judgeAudit({ report, lock, explained, today }) {
  if (typeof report?.vulnerabilities !== 'object' || report.vulnerabilities === null) {
    const why = report?.message ?? 'it printed no report';
    return {
      kind: 'unanswered',
      sentences: [
        `The registry does not say what is known to be vulnerable (${why}). So nobody knows; ask one that does.`,
      ],
    };
  }
  const findings = Object.values(report.vulnerabilities).flatMap((found) => findingsOf(found, lock));
  const isExplained = ({ advisory, name }) =>
    explained.some((entry) => entry.advisory === advisory && entry.package === name && entry.until >= today);
  const open = findings.filter((finding) => finding.runs && !isExplained(finding));
  const others = findings.filter((finding) => !open.includes(finding));
  const sentences = [...open, ...others].slice(0, MAXIMUM_NAMED).map((finding) => sentenceOf(finding));
  const left = findings.length - sentences.length;
  if (left > 0) sentences.push(`${left} more; "npm audit" names them.`);
  return { kind: open.length > 0 ? 'findings' : others.length > 0 ? 'explained' : 'clean', sentences };
}

/** The advisories of a package itself; those of what it needs are findings of that. */
function findingsOf({ name, via, nodes }, lock) {
  const runs = nodes.some((node) => lock.packages[node]?.dev !== true);
  return via
    .filter((cause) => typeof cause === 'object')
    .map(({ url, title, severity }) => ({
      name,
      advisory: url.slice(url.lastIndexOf('/') + 1),
      title,
      severity,
      runs,
    }));
}

function sentenceOf({ name, advisory, title, severity, runs }) {
  return `${name}: ${title} (${severity}, ${advisory})${runs ? '' : '; of those who build and test only'}`;
}
