import { describe, expect, it } from '@jest/globals';
import { CodedError } from '@concordat/foundation';
import * as errors from './errors.js';

describe('the errors of global transactions', () => {
  it('all have a code of the list, and the list has no other', () => {
    const { GLOBAL_ERROR_CODES } = errors;
    const doom = { code: 'X', by: 'orders', message: 'why' };
    const samples = [
      new errors.NotJoinedError('inventory:3000', 'did not prove it'),
      new errors.TransactionRequiredError(),
      new errors.TransactionForbiddenError('t'),
      new errors.InvalidContextError('x'),
      new errors.ContextExpiredError('t', 5),
      new errors.RollbackOnlyError('t', doom),
      new errors.HandleClosedError('t'),
      new errors.GlobalTransactionAbortedError('t', { reason: 'OPERATOR' }),
      new errors.NotBegunError('nobody answers'),
      new errors.GlobalOutcomeUnknownError('t'),
      new errors.GlobalTransactionMixedError('t', 'committed', []),
      new errors.GlobalConfigurationError('x'),
    ];
    expect(samples.map(({ code }) => code)).toEqual([...GLOBAL_ERROR_CODES]);
    const classes = Object.values(errors).filter((one) => typeof one === 'function');
    expect(classes).toHaveLength(samples.length);
    for (const sample of samples) expect(sample).toBeInstanceOf(CodedError);
  });

  it.each<[string, string | undefined, boolean]>([
    ['LOCK_TIMEOUT', undefined, true],
    ['PARTICIPANT_REFUSED', 'DEADLOCK', true],
    ['PARTICIPANT_REFUSED', 'SERIALIZATION_FAILURE', true],
    ['PARTICIPANT_REFUSED', 'SOLD_OUT', false],
    ['DEADLINE_EXCEEDED', undefined, false],
  ])('say whether a repeat may succeed: %s, %s', (reason, participantCode, retryable) => {
    const error = new errors.GlobalTransactionAbortedError('t', { reason, participantCode, participant: 'stock' });
    expect(error.retryable).toBe(retryable);
    expect(error.message).toContain(`aborted by stock (${reason}`);
  });

  it.each<[string, string | undefined, RegExp]>([
    ['LOCK_TIMEOUT', undefined, /: slow; repeat the transaction: retry: \{ attempts: 3 \}/],
    ['DEADLINE_EXCEEDED', undefined, /: slow; look which participant .* longer timeoutMs$/],
    ['PARTICIPANT_REFUSED', 'INSTANCE_GONE', /has ended: repeat the transaction$/],
    ['PARTICIPANT_REFUSED', 'SOLD_OUT', /\(PARTICIPANT_REFUSED, SOLD_OUT\): slow$/],
  ])('say what to do, where it is not for the service to know: %s, %s', (reason, participantCode, sentence) => {
    const error = new errors.GlobalTransactionAbortedError('t', { reason, participantCode, detail: 'slow' });
    expect(error.message).toMatch(sentence);
  });
});
