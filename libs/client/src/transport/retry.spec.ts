import { describe, expect, it } from '@jest/globals';
import { errorOfProblem } from '../errors/error-of-problem.js';
import {
  ConnectionError,
  InvalidAnswerError,
  type ConcordatError,
  type OutcomeUnknownError,
} from '../errors/errors.js';
import { DEFAULT_RETRY, planRetry, type Attempts, type Repeatability } from './retry.js';

function problem(code: string, status: number): ConcordatError {
  return errorOfProblem(status, { type: '', title: '', status, code, detail: 'no', instance: '/' });
}

const unsent = new ConnectionError('refused', { mayHaveTakenEffect: false });
const lost = new ConnectionError('reset', { mayHaveTakenEffect: true });
const gateway = new InvalidAnswerError('bad gateway', { status: 502, mayHaveTakenEffect: true });

const attempts: Attempts = {
  repeatability: 'once',
  attempt: 1,
  coordinatorCount: 3,
  mayHaveTakenEffect: false,
  remainingMs: 60_000,
};

function plan(error: ConcordatError, more: Partial<Attempts> = {}, retryAfterMs?: number) {
  return planRetry({ error, retryAfterMs }, { ...attempts, ...more }, DEFAULT_RETRY, 0);
}

const ALL: readonly Repeatability[] = ['read', 'idempotent', 'once'];

describe('which failures are repeated', () => {
  it.each<[string, ConcordatError, readonly Repeatability[]]>([
    ['NO_LEADER', problem('NO_LEADER', 503), ALL],
    ['OVERLOADED', problem('OVERLOADED', 503), ALL],
    ['HANDING_OVER', problem('HANDING_OVER', 503), ALL],
    ['DISK_FULL', problem('DISK_FULL', 503), ALL],
    ['NOT_A_MEMBER', problem('NOT_A_MEMBER', 503), ALL],
    ['SHUTTING_DOWN', problem('SHUTTING_DOWN', 503), ALL],
    ['MEMBERSHIP_CHANGING', problem('MEMBERSHIP_CHANGING', 409), ALL],
    ['TRANSFER_IN_PROGRESS', problem('TRANSFER_IN_PROGRESS', 409), ALL],
    ['REQUEST_TIMEOUT', problem('REQUEST_TIMEOUT', 408), ALL],
    ['a connection that was refused', unsent, ALL],
    ['OUTCOME_UNKNOWN', problem('OUTCOME_UNKNOWN', 503), ['read', 'idempotent']],
    ['INTERNAL', problem('INTERNAL', 500), ['read', 'idempotent']],
    ['a connection that broke', lost, ['read', 'idempotent']],
    ['a gateway', gateway, ['read', 'idempotent']],
    ['TRANSACTION_CLOSED', problem('TRANSACTION_CLOSED', 409), []],
    ['MEMBER_NOT_CAUGHT_UP', problem('MEMBER_NOT_CAUGHT_UP', 503), []],
    ['TRANSFER_FAILED', problem('TRANSFER_FAILED', 503), []],
    ['INVALID_REQUEST', problem('INVALID_REQUEST', 400), []],
    ['LOCK_HELD', problem('LOCK_HELD', 409), []],
    ['an unknown code', problem('SOMETHING_NEW', 503), []],
    ['an answer that is wrong', new InvalidAnswerError('no', { status: 200 }), []],
  ])('%s', (_, error, repeated) => {
    const found = ALL.filter((repeatability) => plan(error, { repeatability }).kind === 'repeat');
    expect(found).toEqual(repeated);
  });
});

describe('when a request is repeated', () => {
  it.each<[string, ConcordatError, Partial<Attempts>, number | undefined, number]>([
    ['another coordinator is asked at once', unsent, {}, undefined, 0],
    ['also when the coordinator says when to come back to it', problem('SHUTTING_DOWN', 503), {}, 1_000, 0],
    ['after the last of them it pauses', unsent, { attempt: 3 }, undefined, 50],
    ['longer after each round', unsent, { attempt: 6 }, undefined, 100],
    ['never longer than the cap', unsent, { attempt: 9, coordinatorCount: 1 }, undefined, 2_500],
    ['a single coordinator is never asked at once', unsent, { coordinatorCount: 1 }, undefined, 50],
    ['a group without a leader gets its time', problem('NO_LEADER', 503), {}, 1_000, 1_000],
    ['so does one that is overloaded', problem('OVERLOADED', 503), { attempt: 2 }, 3_000, 3_000],
  ])('%s', (_, error, more, retryAfterMs, delayMs) => {
    expect(plan(error, more, retryAfterMs)).toMatchObject({ kind: 'repeat', delayMs });
  });

  it('spreads the pauses', () => {
    const failure = { error: unsent, retryAfterMs: undefined };
    const late = planRetry(failure, { ...attempts, attempt: 3 }, DEFAULT_RETRY, 0.99);
    expect(late).toMatchObject({ delayMs: expect.closeTo(99.5) });
    const told = planRetry({ ...failure, retryAfterMs: 1_000 }, { ...attempts, attempt: 3 }, DEFAULT_RETRY, 0.99);
    expect(told).toMatchObject({ delayMs: expect.closeTo(1_099) });
  });
});

describe('when it gives up', () => {
  it.each<[string, Partial<Attempts>, number | undefined]>([
    ['after so many rounds', { attempt: 30 }, undefined],
    ['when the pause would outlast the time-out', { remainingMs: 900 }, 1_000],
  ])('%s', (_, more, retryAfterMs) => {
    const error = problem('NO_LEADER', 503);
    expect(plan(error, more, retryAfterMs)).toEqual({ kind: 'give-up', error });
  });

  it('never says that nothing happened when an earlier request may have taken effect', () => {
    const error = problem('NO_LEADER', 503);
    const gaveUp = plan(error, { repeatability: 'idempotent', attempt: 30, mayHaveTakenEffect: true });
    expect(gaveUp).toMatchObject({ kind: 'give-up', error: { code: 'OUTCOME_UNKNOWN', mayHaveTakenEffect: true } });
    expect((gaveUp as { error: OutcomeUnknownError }).error.cause).toBe(error);
    expect(plan(error, { repeatability: 'read', attempt: 30, mayHaveTakenEffect: true })).toMatchObject({ error });
    expect(plan(error, { repeatability: 'once', mayHaveTakenEffect: true })).toMatchObject({
      error: { code: 'OUTCOME_UNKNOWN' },
    });
  });

  it('remembers from attempt to attempt what may have taken effect', () => {
    expect(plan(lost, { repeatability: 'idempotent' })).toMatchObject({ mayHaveTakenEffect: true });
    expect(plan(unsent, { repeatability: 'idempotent', mayHaveTakenEffect: true })).toMatchObject({
      mayHaveTakenEffect: true,
    });
    expect(plan(lost, { repeatability: 'read' })).toMatchObject({ mayHaveTakenEffect: false });
  });

  it('gives a final answer as it is, whatever was before it', () => {
    const error = problem('TRANSACTION_CLOSED', 409);
    expect(plan(error, { repeatability: 'idempotent', mayHaveTakenEffect: true })).toEqual({ kind: 'give-up', error });
  });
});
