import { describe, expect, it } from '@jest/globals';
import type { PoolClient } from 'pg';
import { VirtualClock, noFailpoints } from '@concordat/foundation';
import { BranchRefusedError } from '../../runtime/errors.js';
import { BranchSession, type WorkAttempt } from './branch-session.js';
import { HandlerLibraries } from '../joining/handler-libraries.js';
import { BranchStatements } from '../statements/branch-statements.js';
import type { PostgresContext, Work } from './context.js';

const HANDLERS_MS = 5_000;
const ANSWER_MS = 1_000;
const branch = {
  transactionId: '018f2d3c-1111-7abc-8def-0123456789ab',
  branchId: '018f2d3c-1111-7abc-8def-0123456789ac',
  deadline: 0,
};

/** A server that answers every statement, except one of them. */
class FakeClient {
  readonly sent: string[] = [];
  destroyed = false;
  readonly connection = { parsedStatements: {}, stream: { destroy: () => this.destroy() } };
  private readonly unanswered: ((error: Error) => void)[] = [];

  constructor(private readonly silentAt: number) {}

  async query(text: string): Promise<unknown> {
    if (this.destroyed) throw new Error('Client has encountered a connection error and is not queryable');
    this.sent.push(text);
    if (this.sent.length - 1 >= this.silentAt) {
      return new Promise((_, reject) => this.unanswered.push(reject));
    }
    const tag = /PREPARE TRANSACTION/.test(text) ? 'PREPARE' : /ROLLBACK/.test(text) ? 'ROLLBACK' : 'COMMIT';
    const rows = [{ written: true, named_statements: 0, left_behind: null }];
    const answer = { command: tag, rows, rowCount: 0 };
    return Object.assign([answer, answer], answer);
  }

  private destroy(): void {
    this.destroyed = true;
    for (const reject of this.unanswered.splice(0)) reject(new Error('Connection terminated unexpectedly'));
  }
}

interface Run {
  readonly session: BranchSession;
  readonly client: FakeClient;
  readonly elapsedMs: number;
  readonly outcome: WorkAttempt | Error;
}

const never = new Promise<never>(() => undefined);
const write: Work = async ({ client }) => {
  await client.query('UPDATE item SET quantity = 1');
  return [];
};

/** Runs an attempt under virtual time until it settles. */
async function run(work: Work, silentAt = Number.POSITIVE_INFINITY): Promise<Run> {
  const clock = new VirtualClock();
  const client = new FakeClient(silentAt);
  const session = new BranchSession(client as unknown as PoolClient, branch, {
    clock,
    statements: new BranchStatements('test', 'public', noFailpoints),
    libraries: new HandlerLibraries(undefined),
    answerTimeoutMs: ANSWER_MS,
  });
  const limits = { lockTimeoutMs: 100, statementTimeoutMs: 100, handlersMs: HANDLERS_MS };
  const outcomes: (WorkAttempt | Error)[] = [];
  session.run(limits, 'prepare', work).then(
    (attempt) => outcomes.push(attempt),
    (error: Error) => outcomes.push(error),
  );
  for (let step = 0; step < 1_000; step++) {
    await new Promise((resolve) => setImmediate(resolve));
    const [outcome] = outcomes;
    if (outcome) return { session, client, elapsedMs: clock.monotonic(), outcome };
    clock.advance(50);
  }
  throw new Error('the attempt never settled');
}

describe('an attempt whose handlers never settle', () => {
  it('ends when they have had their time, without its connection', async () => {
    const { session, client, elapsedMs, outcome } = await run(() => never);
    expect(outcome).toMatchObject({ type: 'failed', error: { code: 'HANDLER_TIMEOUT' } });
    expect(elapsedMs).toBe(HANDLERS_MS);
    expect([client.destroyed, session.fate, session.wasAbandoned]).toEqual([true, 'dead', true]);
    expect(client.sent).toHaveLength(1); // nothing is said to a session that is given up
  });

  it('says that the database is what they wait for, when it is', async () => {
    const { outcome } = await run(write, 1);
    expect(outcome).toMatchObject({ type: 'failed', error: { code: 'DATABASE_TIMEOUT' } });
  });

  it.each(['resolve', 'reject'] as const)('is not changed by handlers that %s late', async (how) => {
    let settle: () => void = () => undefined;
    let client: PostgresContext['client'] | undefined;
    const run1 = await run((context) => {
      client = context.client;
      return new Promise((resolve, reject) => {
        settle = () => (how === 'resolve' ? resolve([]) : reject(new Error('late')));
      });
    });
    settle();
    await new Promise((resolve) => setImmediate(resolve));
    await expect(client?.query('SELECT 1')).rejects.toThrow('its connection now serves others');
    expect(run1.client.sent).toHaveLength(1);
    expect(run1.session.fate).toBe('dead');
  });
});

describe('an attempt whose server falls silent', () => {
  it('at the opening, did not begin', async () => {
    const { client, elapsedMs, outcome } = await run(write, 0);
    expect(outcome).toBeInstanceOf(Error);
    expect([elapsedMs, client.destroyed]).toEqual([ANSWER_MS, true]);
  });

  it('at the rollback, is refused all the same, and its session is dead', async () => {
    const refuse: Work = () => Promise.reject(new BranchRefusedError('SOLD_OUT', 'nothing left'));
    const { session, outcome, elapsedMs } = await run(refuse, 1);
    expect(outcome).toMatchObject({ type: 'failed', error: { code: 'SOLD_OUT' } });
    expect([session.fate, elapsedMs]).toEqual(['dead', ANSWER_MS]);
  });

  it.each([0, 1, 2, 3])(
    'at statement %i of all, settles in time and never lends the session again',
    async (silentAt) => {
      const { session, elapsedMs, outcome } = await run(write, silentAt);
      expect(elapsedMs).toBeLessThanOrEqual(HANDLERS_MS + 3 * ANSWER_MS);
      expect(outcome).not.toMatchObject({ type: 'durable' });
      expect([session.fate, session.wasAbandoned]).toEqual(['dead', true]);
    },
  );

  it('nowhere, is prepared with as many statements', async () => {
    const { session, client, outcome } = await run(write);
    expect(outcome).toEqual({ type: 'durable', results: [] });
    expect([session.fate, client.sent.length]).toEqual(['intact', 4]);
  });
});

describe('the end of an attempt', () => {
  const doing =
    (text: string): Work =>
    async (context) => {
      await write(context);
      await context.client.query(text);
      return [];
    };

  it.each([
    ['is short after plain statements', 'SELECT quantity FROM item', 'concordat_close_plain_branch('],
    ['looks for what was left after any other', "DO 'BEGIN END'", 'concordat_close_branch('],
  ])('%s', async (_, text, routine) => {
    const { client, outcome } = await run(doing(text));
    expect(outcome).toMatchObject({ type: 'durable' });
    expect(client.sent.at(-1)).toContain(routine);
  });
});
