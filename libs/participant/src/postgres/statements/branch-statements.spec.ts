import { describe, expect, it } from '@jest/globals';
import type { ClientBase } from 'pg';
import { PARTICIPANT_FAILPOINTS } from '../../runtime/participant-failpoints.js';
import { BranchStatements } from './branch-statements.js';

const branch = {
  transactionId: '018f2d3c-1111-7abc-8def-0123456789ab',
  branchId: '018f2d3c-1111-7abc-8def-0123456789ac',
};
const limits = { lockTimeoutMs: 100, statementTimeoutMs: 100 };

/** Answers as a server does that found nothing: enough for statements whose answers nobody acts on here. */
function createStatements() {
  const events: string[] = [];
  const answer = { command: 'COMMIT', rows: [{ prepared: false, written: true }], rowCount: 0 };
  const client = {
    query: async () => {
      events.push('statement');
      return Object.assign(
        Array.from({ length: 8 }, () => answer),
        answer,
      );
    },
  } as unknown as ClientBase;
  const statements = new BranchStatements('test', 'public', { hit: (name) => void events.push(name) });
  return { statements, client, events };
}

type Statements = ReturnType<typeof createStatements>['statements'];

/** Every statement that has a name, and the call that makes it. */
const CALLS: Readonly<Record<string, (statements: Statements, client: ClientBase) => unknown>> = {
  'written-check': (statements, client) => statements.hasWritten(client),
  'read-only-commit': (statements, client) => statements.commit(client, true),
  'prepare-transaction': (statements, client) => statements.prepare(client, branch, [], true),
  'one-phase-commit': (statements, client) => statements.commitWithLedger(client, branch, [], true),
  'local-rollback': (statements, client) => statements.rollback(client, true),
  'commit-prepared': (statements, client) => statements.commitPrepared(client, branch),
  'rollback-prepared': (statements, client) => statements.rollbackPrepared(client, branch),
  tombstone: (statements, client) => statements.insertTombstone(client, branch, {}).catch(() => undefined),
  'ledger-look-up': (statements, client) => statements.look(client, branch).catch(() => undefined),
  'list-prepared': (statements, client) => statements.listPrepared(client).catch(() => undefined),
};

describe('the failpoints of statements', () => {
  it.each(Object.keys(CALLS))('are passed before and behind %s', async (name) => {
    const { statements, client, events } = createStatements();
    await CALLS[name]!(statements, client);
    expect(events).toEqual([
      `participant.${name}.before-statement`,
      'statement',
      `participant.${name}.after-statement`,
    ]);
    expect(PARTICIPANT_FAILPOINTS).toEqual(expect.arrayContaining([events[0], events[2]]));
  });

  it('are passed in front of begin when statements are sent right behind it', async () => {
    const { statements, client, events } = createStatements();
    await statements.beforeBegin();
    const begun = statements.begin(client, branch, limits);
    expect(events).toEqual(['participant.begin.before-statement', 'statement']); // in the same turn
    await begun;
    expect(events.at(-1)).toBe('participant.begin.after-statement');
  });

  it('keep a statement back, and make what they throw its failure', async () => {
    const { client, events } = createStatements();
    let open = (): void => undefined;
    const failpoints = { hit: () => new Promise<void>((resolve) => (open = resolve)) };
    const held = new BranchStatements('test', 'public', failpoints).commitPrepared(client, branch);
    await Promise.resolve();
    expect(events).toEqual([]);
    open();
    await Promise.resolve();
    await Promise.resolve();
    expect(events).toEqual(['statement']);
    open();
    await held;
    const failing = new BranchStatements('test', 'public', { hit: () => Promise.reject(new Error('cut')) });
    await expect(failing.commitPrepared(client, branch)).rejects.toThrow('cut');
    expect(events).toEqual(['statement']);
  });
});
