import { existsSync, readFileSync } from 'node:fs';
import { ask } from '../../rest.js';
import { auditFileOf, type CoordinatorId } from '../../local-system/services.js';
import { nodeIdOf, type ScenarioLab } from '../scenario-lab.js';

/** What all coordinators and banks have counted, and what stands in the audits of the coordinators. */
export interface Counted {
  /** by the name of the metric, without labels */
  readonly metrics: ReadonlyMap<string, number>;
  /** by the kind of the event */
  readonly audit: ReadonlyMap<string, number>;
}

interface AuditLine {
  readonly event: string;
  readonly suppressed?: number;
}

const WATCHED = [
  'concordat_http_refused_credentials_total',
  'concordat_dead_letters_total',
  'concordat_participant_dead_letters_total',
  'concordat_tls_refused_connections_total',
  'concordat_raft_refused_calls_total',
  'concordat_participant_refused_contexts_total',
] as const;
export type Watched = (typeof WATCHED)[number];

export async function countedNow(lab: ScenarioLab): Promise<Counted> {
  const metrics = new Map<string, number>();
  const audit = new Map<string, number>();
  for (const { name, role } of lab.state().processes) {
    if (role !== 'coordinator' && role !== 'participant') continue;
    const { text } = await ask(`${lab.url(name)}/metrics`);
    for (const [, metric, value] of text.matchAll(/^([a-z_]+)(?:\{[^}]*\})? (\d+)$/gm)) {
      if (WATCHED.some((watched) => watched === metric))
        metrics.set(metric!, (metrics.get(metric!) ?? 0) + Number(value));
    }
  }
  for (const { name } of lab.coordinators()) {
    for (const { event, suppressed = 0 } of auditLines(lab, nodeIdOf(name) as CoordinatorId)) {
      audit.set(event, (audit.get(event) ?? 0) + 1 + suppressed);
    }
  }
  return { metrics, audit };
}

function auditLines(lab: ScenarioLab, nodeId: CoordinatorId): AuditLine[] {
  const file = auditFileOf(lab.context, nodeId);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as AuditLine);
}

/** What is missing: each thing must have been counted at least so often since then. */
export function missingIn(
  what: 'metrics' | 'audit',
  before: Counted,
  after: Counted,
  wanted: Readonly<Record<string, number>>,
): string[] {
  return Object.entries(wanted).flatMap(([name, least]) => {
    const count = (after[what].get(name) ?? 0) - (before[what].get(name) ?? 0);
    return count >= least ? [] : [`${name}: ${count} instead of at least ${least}`];
  });
}

/** In words. */
export function grownIn(what: 'metrics' | 'audit', before: Counted, after: Counted): string {
  return [...after[what]]
    .map(([name, count]) => [name, count - (before[what].get(name) ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
