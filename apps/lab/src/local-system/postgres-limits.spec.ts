import { describe, expect, it } from '@jest/globals';
import { LabError } from '../lab-error.js';
import { postgresLimits } from './postgres-limits.js';

const limits = (text: string | undefined): unknown => postgresLimits({ CONCORDAT_LAB_POSTGRES_LIMITS: text });

describe('limits of the local PostgreSQL servers', () => {
  it.each([undefined, '', ' '])('are the usual ones where the variable is %p', (text) => {
    expect(limits(text)).toEqual({});
  });

  it('are raised by name', () => {
    expect(limits('max_connections=400, max_prepared_transactions = 1000')).toEqual({
      max_connections: '400',
      max_prepared_transactions: '1000',
    });
  });

  it.each(['fsync=off', 'max_connections=off', 'max_connections', 'max_connections=0', 'max_connections=1=2', 'a=1,'])(
    'refuse %p in a sentence that names it',
    (text) => {
      expect(() => limits(text)).toThrow(LabError);
      expect(() => limits(text)).toThrow(/CONCORDAT_LAB_POSTGRES_LIMITS holds/);
    },
  );

  it('are bounded', () => {
    expect(() => limits('max_connections=10001')).toThrow(/from 1 to 10000/);
  });
});
