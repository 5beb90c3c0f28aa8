import { describe, expect, it } from '@jest/globals';
import { transactionCommandsOf } from './transaction-command.js';

const begin = (wishes = {}, tag = 'BEGIN'): object => ({ type: 'begin', tag, wishes });

describe('the transaction commands of a text', () => {
  it.each<[string, readonly object[]]>([
    ['BEGIN', [begin()]],
    ['begin;', [begin()]],
    [' begin work ', [begin()]],
    ['BEGIN TRANSACTION', [begin()]],
    ['START TRANSACTION', [begin({}, 'START TRANSACTION')]],
    [
      'start transaction isolation level serializable read only',
      [begin({ isolation: 'SERIALIZABLE', isReadOnly: true }, 'START TRANSACTION')],
    ],
    [
      'begin isolation level repeatable read, read write, not deferrable',
      [begin({ isolation: 'REPEATABLE READ', isReadOnly: false })],
    ],
    ['BEGIN READ ONLY DEFERRABLE', [begin({ isReadOnly: true })]],
    [
      'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
      [{ type: 'set-transaction', wishes: { isolation: 'READ COMMITTED' } }],
    ],
    ['BEGIN; SET TRANSACTION READ ONLY', [begin(), { type: 'set-transaction', wishes: { isReadOnly: true } }]],
    ['COMMIT', [{ type: 'commit' }]],
    ['commit work and no chain', [{ type: 'commit' }]],
    ['END', [{ type: 'commit' }]],
    ['ROLLBACK', [{ type: 'roll-back' }]],
    ['abort transaction', [{ type: 'roll-back' }]],
    ['COMMIT /* traceparent=1 */', [{ type: 'commit' }]],
    ['-- begin\nROLLBACK', [{ type: 'roll-back' }]],
    ['SAVEPOINT typeorm_1', [{ type: 'savepoint', name: 'typeorm_1' }]],
    ['savepoint SP1', [{ type: 'savepoint', name: 'sp1' }]],
    ['savepoint "My ""point"""', [{ type: 'savepoint', name: 'My "point"' }]],
    ['release "sp;1"', [{ type: 'release', name: 'sp;1' }]],
    ['RELEASE SAVEPOINT sp1', [{ type: 'release', name: 'sp1' }]],
    ['rollback to sp1', [{ type: 'roll-back-to', name: 'sp1' }]],
    ['ROLLBACK TRANSACTION TO SAVEPOINT sp1', [{ type: 'roll-back-to', name: 'sp1' }]],
  ])('%s', (text, commands) => {
    expect(transactionCommandsOf(text)).toEqual(commands);
  });

  it.each([
    'SELECT 1',
    'INSERT INTO item VALUES (1)',
    'BEGIN; INSERT INTO item VALUES (1); COMMIT',
    'COMMIT AND CHAIN',
    "COMMIT PREPARED 'x'",
    "PREPARE TRANSACTION 'x'",
    "SET TRANSACTION SNAPSHOT '1'",
    'SET LOCAL work_mem = 1',
    'BEGIN ISOLATION LEVEL CHAOS',
    'SAVEPOINT',
    'SAVEPOINT a b',
    '-- only a comment',
    '',
    ';',
  ])('has none that can be carried out: %s', (text) => {
    expect(transactionCommandsOf(text)).toBeUndefined();
  });
});
