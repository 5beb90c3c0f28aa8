import { describe, expect, it } from '@jest/globals';
import { TRANSACTION_ID } from '../testing/samples.js';
import { errorOfProblem } from './error-of-problem.js';

function problem(code: string, status: number, extensions: Readonly<Record<string, unknown>> = {}): unknown {
  return { type: 'urn:x', title: 't', status, code, detail: `the detail of ${code}`, instance: '/', ...extensions };
}

describe('the error of a problem', () => {
  it.each<[string, number, string]>([
    ['INVALID_REQUEST', 400, 'InvalidRequestError'],
    ['UNKNOWN_PARTICIPANT', 400, 'InvalidRequestError'],
    ['ROUTE_NOT_FOUND', 404, 'InvalidRequestError'],
    ['PAYLOAD_TOO_LARGE', 413, 'InvalidRequestError'],
    ['IDEMPOTENCY_KEY_REUSED', 422, 'InvalidRequestError'],
    ['TRANSACTION_NOT_FOUND', 404, 'TransactionNotFoundError'],
    ['TRANSACTION_EXPIRED', 410, 'TransactionExpiredError'],
    ['TRANSACTION_COMMITTED', 409, 'TransactionCommittedError'],
    ['TRANSACTION_MIXED', 409, 'TransactionMixedError'],
    ['TRANSACTION_DECIDED', 409, 'TransactionClosedError'],
    ['TRANSACTION_CLOSED', 409, 'TransactionClosedError'],
    ['BRANCH_CONFLICT', 409, 'BranchConflictError'],
    ['NOT_ADDRESSABLE', 409, 'NotAddressableError'],
    ['BRANCH_NOT_FOUND', 404, 'RulingRefusedError'],
    ['RULING_NOT_POSSIBLE', 409, 'RulingRefusedError'],
    ['MEMBER_NOT_FOUND', 404, 'ClusterChangeRefusedError'],
    ['TRANSFER_FAILED', 503, 'ClusterChangeRefusedError'],
    ['NO_LEADER', 503, 'NoLeaderError'],
    ['OVERLOADED', 503, 'OverloadedError'],
    ['TOO_MANY_WAITERS', 503, 'OverloadedError'],
    ['DISK_FULL', 503, 'UnavailableError'],
    ['SHUTTING_DOWN', 503, 'UnavailableError'],
    ['LOCK_HELD', 409, 'LockHeldError'],
    ['LOCK_NOT_HELD', 409, 'LockNotHeldError'],
    ['SOMETHING_NEW', 409, 'ConcordatError'],
    ['INTERNAL', 500, 'ConcordatError'],
  ])('%s (%d) is a %s', (code, status, name) => {
    const error = errorOfProblem(status, problem(code, status));
    expect(error).toMatchObject({ name, code, status, message: `the detail of ${code}` });
    expect(error.mayHaveTakenEffect).toBe(code === 'INTERNAL');
  });

  it('OUTCOME_UNKNOWN may have taken effect', () => {
    const error = errorOfProblem(503, problem('OUTCOME_UNKNOWN', 503));
    expect(error).toMatchObject({ name: 'OutcomeUnknownError', code: 'OUTCOME_UNKNOWN', mayHaveTakenEffect: true });
  });

  it('names the fields of an invalid request', () => {
    const errors = [{ path: 'branches[0].payload', message: 'is missing' }];
    expect(errorOfProblem(400, problem('INVALID_REQUEST', 400, { errors }))).toMatchObject({ errors });
  });

  it('names the transaction: that of the problem, or that of the call', () => {
    const other = '0198a8c0-0000-7000-8000-000000000099';
    const answered = problem('TRANSACTION_COMMITTED', 409, { transactionId: other });
    expect(errorOfProblem(409, answered, TRANSACTION_ID)).toMatchObject({ transactionId: other });
    expect(errorOfProblem(404, problem('TRANSACTION_NOT_FOUND', 404), TRANSACTION_ID)).toMatchObject({
      transactionId: TRANSACTION_ID,
    });
  });

  it('keeps what else the problem says', () => {
    const error = errorOfProblem(409, problem('SOMETHING_NEW', 409, { limit: 5 }));
    expect(error.details).toEqual({ limit: 5 });
  });

  it('of a held lock names the holder, if the answer does', () => {
    const holder = { owner: 'ann', expiresAt: '2026-01-01T00:00:00.000Z' };
    expect(errorOfProblem(409, problem('LOCK_HELD', 409, { holder }))).toMatchObject({ holder });
    expect(errorOfProblem(409, problem('LOCK_HELD', 409, { holder: 'ann' }))).toMatchObject({ holder: undefined });
  });

  it.each<[string, number, unknown, boolean]>([
    ['no body', 502, undefined, true],
    ['another object', 404, { message: 'nothing here' }, false],
    ['a problem without a code', 500, { type: 'about:blank', title: 'x', status: 500 }, true],
    ['errors that are none', 400, problem('INVALID_REQUEST', 400, { errors: [1] }), false],
  ])('that is none of a coordinator: %s', (_, status, body, mayHaveTakenEffect) => {
    expect(errorOfProblem(status, body)).toMatchObject({ code: 'INVALID_ANSWER', status, mayHaveTakenEffect });
  });
});
