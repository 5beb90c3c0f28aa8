import { describe, expect, it } from '@jest/globals';
import { DatabaseError } from 'pg';
import { branchErrorOf } from '../session/branch-failure.js';
import { classifyFailure, worseFate } from './failure-classes.js';

interface Fields {
  readonly message?: string;
  readonly hint?: string;
  readonly file?: string;
  readonly routine?: string;
}

function sent(code: string, fields: Fields = {}): DatabaseError {
  return Object.assign(new DatabaseError(fields.message ?? 'refused', 0, 'error'), { code, severity: 'ERROR' }, fields);
}

/** What a socket, a time-out or `pg` itself says: nothing that the server said. */
const WITHOUT_SERVER = [
  Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104 }),
  Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }),
  Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT' }),
  new Error('Connection terminated unexpectedly'),
  new Error('Query read timeout'),
  new Error('Client has encountered a connection error and is not queryable'),
];

/** Every class of SQLSTATEs in appendix A of the PostgreSQL documentation that an error may have. */
const CLASSES =
  '03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX'.split(
    ' ',
  );
const UNFIT = new Set(['08', '26', '28', '57', '58', 'F0', 'XX']);

describe('the table of failures', () => {
  it.each(CLASSES)('tells for class %s whether the session goes on', (name) => {
    const { session, refusal } = classifyFailure(sent(`${name}ZZZ`));
    expect(session === 'intact').toBe(!UNFIT.has(name));
    expect(refusal.code).toMatch(/^[A-Z_]+$/);
  });

  it.each([
    ['55P03', 'intact', 'LOCK_TIMEOUT'],
    ['57014', 'intact', 'LOCK_TIMEOUT'],
    ['40P01', 'intact', 'DEADLOCK'],
    ['40001', 'intact', 'SERIALIZATION_FAILURE'],
    ['25P02', 'intact', 'TRANSACTION_FAILED'],
    ['25P03', 'dead', 'DATABASE_SESSION_ENDED'],
    ['25P04', 'dead', 'DATABASE_SESSION_ENDED'],
    ['57P01', 'dead', 'DATABASE_SESSION_ENDED'],
    ['57P02', 'dead', 'DATABASE_SESSION_ENDED'],
    ['57P03', 'dead', 'DATABASE_SESSION_ENDED'],
    ['57P04', 'dead', 'DATABASE_SESSION_ENDED'],
    ['57P05', 'dead', 'DATABASE_SESSION_ENDED'],
    ['08006', 'dead', 'DATABASE_CONNECTION_LOST'],
    ['08P01', 'dead', 'DATABASE_CONNECTION_LOST'],
    ['26000', 'dirty', 'STATEMENT_LOST'],
    ['42P05', 'dirty', 'STATEMENT_LOST'],
    ['53100', 'intact', 'DATABASE_DISK_FULL'],
    ['53200', 'dirty', 'DATABASE_OUT_OF_MEMORY'],
    ['53300', 'dead', 'DATABASE_SESSION_ENDED'],
    ['XX000', 'dirty', 'DATABASE_ERROR'],
    ['23505', 'intact', 'CONSTRAINT_VIOLATION'],
    ['P0001', 'intact', 'DATABASE_ERROR'],
    ['ZA123', 'intact', 'DATABASE_ERROR'], // made up by RAISE … USING ERRCODE
  ])('%s: the session is %s, the branch is refused with %s', (code, session, refusal) => {
    expect(classifyFailure(sent(code))).toMatchObject({ session, refusal: { code: refusal } });
  });

  it.each<[string, string, string, Fields]>([
    [
      '0A000',
      'dirty',
      'SCHEMA_CHANGED',
      { message: 'gecachter Plan darf den Ergebnistyp nicht ändern', file: 'plancache.c' },
    ],
    ['0A000', 'dirty', 'SCHEMA_CHANGED', { message: 'cached plan must not change result type' }],
    ['0A000', 'intact', 'NOT_PREPARABLE', { message: 'PREPARE kann nicht …', routine: 'PrepareTransaction' }],
    ['0A000', 'intact', 'NOT_PREPARABLE', { message: 'kann PREPARE nicht in einer Transaktion ausführen' }],
    ['0A000', 'intact', 'NOT_SUPPORTED', { message: 'cross-database references are not implemented' }],
    ['53200', 'intact', 'PREPARED_TRANSACTIONS_EXHAUSTED', { file: 'twophase.c' }],
    ['53200', 'intact', 'PREPARED_TRANSACTIONS_EXHAUSTED', { hint: 'Erhöhen Sie »max_prepared_transactions«.' }],
    ['53200', 'intact', 'LOCK_TABLE_FULL', { message: 'Shared Memory aufgebraucht', file: 'lock.c' }],
    ['53200', 'intact', 'LOCK_TABLE_FULL', { hint: 'You might need to increase "max_locks_per_transaction".' }],
    ['53200', 'intact', 'LOCK_TABLE_FULL', { hint: 'You might need to increase max_pred_locks_per_transaction.' }],
    ['53200', 'dirty', 'DATABASE_OUT_OF_MEMORY', { message: 'out of memory', file: 'mcxt.c' }],
  ])('%s has several meanings: %s, %s', (code, session, refusal, fields) => {
    expect(classifyFailure(sent(code, fields))).toMatchObject({ session, refusal: { code: refusal } });
  });

  it.each(WITHOUT_SERVER)('what no server said is the end of the session: $message', (error) => {
    expect(classifyFailure(error)).toMatchObject({ session: 'dead', refusal: { code: 'DATABASE_CONNECTION_LOST' } });
  });

  it('keeps the worse of two', () => {
    expect([worseFate('dirty', 'intact'), worseFate('dirty', 'dead'), worseFate('intact', 'intact')]).toEqual([
      'dirty',
      'dead',
      'intact',
    ]);
  });
});

describe('why a branch is refused', () => {
  it('an error of the handler is not the connection’s, whatever its words', () => {
    const error = new Error('connection to the payment service timed out: socket terminated');
    expect(branchErrorOf(error)).toMatchObject({ code: 'HANDLER_FAILED' });
  });

  it('is what the database said, when the handler made an error of its own of it', () => {
    expect(branchErrorOf(new Error('could not book'), sent('40P01'))).toMatchObject({ code: 'DEADLOCK' });
    expect(branchErrorOf(new Error('could not book'), WITHOUT_SERVER[0])).toMatchObject({
      code: 'DATABASE_CONNECTION_LOST',
    });
  });
});
