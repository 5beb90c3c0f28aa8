import { describe, expect, it } from '@jest/globals';
import type { ClientBase } from 'pg';
import { NAMED_STATEMENTS, PARTICIPANT_FAILPOINTS } from '../../runtime/participant-failpoints.js';
import { AcceptorStatements } from './acceptor-statements.js';

const branch = {
  transactionId: '018f2d3c-1111-7abc-8def-0123456789ab',
  branchId: '018f2d3c-1111-7abc-8def-0123456789ac',
};
const acceptors = [{ branchId: branch.branchId, participant: 'bank-a' }];

/** Answers each part of a statement as a server does that found nothing; `tag` ends the transaction. */
function createStatements(tag = 'COMMIT') {
  const events: string[] = [];
  const none = { command: 'SELECT', rows: [], rowCount: 1 };
  const client = {
    query: async (text: string) => {
      events.push('statement');
      const isLook = text.includes('pg_prepared_xacts');
      const parts = Array.from({ length: 4 }, () => (isLook ? { ...none, rows: [{ prepared: false }] } : none));
      return [...parts, { ...none, command: tag }];
    },
  } as unknown as ClientBase;
  const statements = new AcceptorStatements('test', 'public', { hit: (name) => void events.push(name) });
  return { statements, client, events };
}

type Statements = ReturnType<typeof createStatements>['statements'];

/** Every statement, and the call that makes it. */
const CALLS: Readonly<Record<string, (statements: Statements, client: ClientBase) => Promise<unknown>>> = {
  'acceptor-vote': (statements, client) =>
    statements.insertVote(client, branch, acceptors, { vote: 'yes', results: [] }),
  'acceptor-lock': (statements, client) => statements.lock(client, branch),
  'acceptor-ballot': (statements, client) =>
    statements.saveBallots(client, branch, { promised: { round: 1, proposer: 1 }, accepted: undefined }),
  'acceptor-refusal': (statements, client) =>
    statements.insertRefusal(client, branch, acceptors, { promised: { round: 1, proposer: 1 }, accepted: undefined }),
  'acceptor-release': (statements, client) => statements.release(client),
  'acceptor-decision': (statements, client) => statements.recordDecision(client, branch, 'commit'),
  'acceptor-look-up': (statements, client) => statements.look(client, branch),
};

describe('the statements of acceptors', () => {
  it('are all those of their name', () => {
    expect(Object.keys(CALLS).sort()).toEqual(NAMED_STATEMENTS.filter((name) => name.startsWith('acceptor-')).sort());
  });

  it.each(Object.keys(CALLS))('are one round trip each, with failpoints around it: %s', async (name) => {
    const { statements, client, events } = createStatements();
    await CALLS[name]!(statements, client).catch(() => undefined); // what was answered is not of interest here
    const [before, after] = [`participant.${name}.before-statement`, `participant.${name}.after-statement`];
    expect(events).toEqual([before, 'statement', after]);
    expect(PARTICIPANT_FAILPOINTS).toEqual(expect.arrayContaining([before, after]));
  });

  it.each(['acceptor-vote', 'acceptor-ballot', 'acceptor-refusal', 'acceptor-decision'])(
    'fail when the server rolls back instead of committing, without an error: %s',
    async (name) => {
      const { statements, client } = createStatements('ROLLBACK');
      await expect(CALLS[name]!(statements, client)).rejects.toThrow('ROLLBACK instead of COMMIT');
    },
  );
});
