import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { judgeAudit, type AuditFacts, type AuditJudgement, type ExplainedFinding } from '../../scripts/auditing.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const ADVISORY = 'GHSA-aaaa-bbbb-cccc';

/** As npm 10 and 11 report it. */
const found = (name: string, nodes: readonly string[]) => ({
  name,
  severity: 'high',
  isDirect: true,
  via: [
    {
      source: 1,
      name,
      dependency: name,
      title: 'It believes everybody',
      url: `https://github.com/advisories/${ADVISORY}`,
      severity: 'high',
      range: '<2.0.0',
    },
  ],
  effects: [],
  range: '<2.0.0',
  nodes,
  fixAvailable: true,
});
const NEEDS_IT = { ...found('driver', ['node_modules/driver']), via: ['parser'] };
const RUNS = found('parser', ['node_modules/parser', 'node_modules/tool/node_modules/parser']);
const BUILDS = found('tool', ['node_modules/tool']);

const FACTS: AuditFacts = {
  report: { auditReportVersion: 2, vulnerabilities: {} },
  lock: {
    packages: {
      'node_modules/driver': {},
      'node_modules/parser': {},
      'node_modules/tool': { dev: true },
      'node_modules/tool/node_modules/parser': { dev: true },
    },
  },
  explained: [],
  today: '2026-12-01',
};
const EXPLAINED: ExplainedFinding = {
  advisory: ADVISORY,
  package: 'parser',
  because: 'it parses what this repository has written',
  until: '2026-12-31',
};

const judged = (vulnerabilities: object, explained: readonly ExplainedFinding[] = []): AuditJudgement =>
  judgeAudit({ ...FACTS, explained, report: { auditReportVersion: 2, vulnerabilities } });

describe('what npm audit finds', () => {
  it('is nothing', () => {
    expect(judged({})).toEqual({ kind: 'clean', sentences: [] });
  });

  it('counts for a package that runs, once, wherever else it is', () => {
    expect(judged({ parser: RUNS, driver: NEEDS_IT, tool: BUILDS })).toEqual({
      kind: 'findings',
      sentences: [
        `parser: It believes everybody (high, ${ADVISORY})`,
        `tool: It believes everybody (high, ${ADVISORY}); of those who build and test only`,
      ],
    });
  });

  it('does not count for a package that only builds and tests, but is said', () => {
    expect(judged({ tool: BUILDS })).toMatchObject({ kind: 'explained', sentences: [expect.any(String)] });
  });

  it('does not count where somebody has explained it, until the day that he has named', () => {
    expect(judged({ parser: RUNS }, [EXPLAINED]).kind).toBe('explained');
    expect(judged({ parser: RUNS }, [{ ...EXPLAINED, until: '2026-11-30' }]).kind).toBe('findings');
    expect(judged({ parser: RUNS }, [{ ...EXPLAINED, package: 'other' }]).kind).toBe('findings');
    expect(judged({ parser: RUNS }, [{ ...EXPLAINED, advisory: 'GHSA-x' }]).kind).toBe('findings');
  });

  it.each<[string, unknown]>([
    ['does not answer the question', { message: '405 Method Not Allowed', statusCode: 405, body: '' }],
    ['cannot be reached', { error: { code: 'ENOTFOUND' } }],
    ['answers nothing', undefined],
    ['answers something else', []],
  ])('is not known where the registry %s, and that is not the same as clean', (_what, report) => {
    const { kind, sentences } = judgeAudit({ ...FACTS, report });
    expect(kind).toBe('unanswered');
    expect(sentences.join()).toContain('So nobody knows');
  });
});

it('what is explained has a reason, and a day on which somebody looks again', () => {
  const text = readFileSync(path.join(root, 'scripts/audit-explained.json'), 'utf8');
  for (const entry of JSON.parse(text) as readonly ExplainedFinding[]) {
    expect(entry).toEqual({
      advisory: expect.stringMatching(/^GHSA(-[0-9a-z]{4}){3}$/),
      package: expect.any(String),
      because: expect.stringMatching(/.{20}/),
      until: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
    });
  }
});
