import { describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { describeUrl } from '../connections/client-options.js';
import { connectionFault } from './connection-faults.js';

const sent = (code: string, message: string): Error => Object.assign(new Error(message), { code, severity: 'FATAL' });

describe('the faults of a connection', () => {
  it.each([
    ['28P01', 'password authentication failed', 'DATABASE_AUTHENTICATION_FAILED'],
    ['28000', 'no pg_hba.conf entry', 'DATABASE_AUTHENTICATION_FAILED'],
    ['3D000', 'database "x" does not exist', 'DATABASE_DOES_NOT_EXIST'],
    ['42501', 'permission denied for schema public', 'DATABASE_PERMISSION_DENIED'],
    ['08P01', 'transaction blocks not allowed in statement pooling mode', 'DATABASE_IS_POOLED_BY_STATEMENT'],
  ])('that the server sends as %s (%s) are %s', (state, message, code) => {
    expect(connectionFault(sent(state, message), 'orders@db/orders')).toMatchObject({ status: 'failure', code });
  });

  it.each([sent('57P03', 'the database system is starting up'), new Error('connect ECONNREFUSED')])(
    'are none when they may pass: %s',
    (error) => expect(connectionFault(error, 'orders@db/orders')).toBeUndefined(),
  );

  it('name a URL that is none, and do not repeat it', () => {
    const open = (): Client => new Client({ connectionString: 'postgres://orders:sec/ret@db:5432/orders' });
    let thrown: unknown;
    try {
      open();
    } catch (error) {
      thrown = error;
    }
    const fault = connectionFault(thrown, 'the given database URL');
    expect(fault).toMatchObject({ code: 'DATABASE_URL_INVALID', fix: expect.stringContaining('%2F') });
    expect(JSON.stringify(fault)).not.toMatch(/sec|ret@/);
  });
});

describe('a database URL in a sentence', () => {
  it.each([
    ['postgres://orders:secret@db:5432/orders', 'orders@db:5432/orders'],
    ['postgres://db/orders', 'db/orders'],
    ['postgres://orders:sec/ret@db/orders', 'the given database URL'],
    ['orders', 'the given database URL'],
  ])('%s is %s', (url, expected) => expect(describeUrl(url)).toBe(expected));
});
