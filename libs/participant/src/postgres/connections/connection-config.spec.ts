import { describe, expect, it } from '@jest/globals';
import { ParticipantConfigurationError } from '../../runtime/errors.js';
import type { PostgresConnectionSettings } from '../settings.js';
import { noticesImpostors, postgresConnection } from './connection-config.js';
import { takeSslFromUrl } from './ssl-mode.js';

const URL_WITHOUT = 'postgres://orders@db:5432/orders';
const PASSWORD = (): string => 'secret';

describe('the connection to PostgreSQL', () => {
  it('is what the URL says, as pg reads it, where there is neither TLS nor another password', () => {
    const connectionString = 'postgres://orders:a%2Fb@db/orders?application_name=x';
    expect(postgresConnection({ connectionString })).toEqual({ connectionString });
  });

  it.each(['/run/postgresql orders', 'socket:/run/postgresql?db=orders', 'postgresql://db/a:b@c'])(
    'leaves %s to pg',
    (connectionString) => expect(postgresConnection({ connectionString })).toEqual({ connectionString }),
  );

  it.each(['orders', 'localhost:5432/orders', 'http://orders:secret@db/orders', ''])(
    'refuses "%s", of which pg would make something else, and does not repeat it',
    (connectionString) => {
      const refuse = (): unknown => postgresConnection({ connectionString });
      expect(refuse).toThrow(ParticipantConfigurationError);
      expect(refuse).toThrow('does not begin with postgres://');
      expect(refuse).not.toThrow('secret');
    },
  );

  it('takes an empty URL beside members for none, as pg does', () => {
    expect(postgresConnection({ connection: { connectionString: '', host: 'db' } })).toMatchObject({ host: 'db' });
    expect(() => postgresConnection({ connection: { connectionString: 'orders' } })).toThrow('postgres://');
  });

  it('has the members of the URL, decoded, where a function gives the password', () => {
    const connectionString = 'postgres://or%40ders@[::1]:5433/da%20ta?options=-c%20x%3D1';
    expect(postgresConnection({ connectionString, password: PASSWORD })).toEqual({
      user: 'or@ders',
      host: '::1',
      port: 5433,
      database: 'da ta',
      options: '-c x=1',
      password: expect.any(Function),
    });
  });

  it('keeps the password of the URL beside TLS, and leaves out what the URL does not say', () => {
    expect(postgresConnection({ connectionString: 'postgres://orders:a%2Fb@db?sslmode=require' })).toEqual({
      user: 'orders',
      password: 'a/b',
      host: 'db',
      ssl: false, // TLS is made below pg
      sslnegotiation: 'postgres', // whatever the variables of PostgreSQL say
      stream: expect.any(Function),
    });
  });

  it('has no TLS over a socket of the file system, nor where it is disabled', () => {
    for (const query of ['host=/run/postgresql&sslmode=require', 'sslmode=disable']) {
      expect(postgresConnection({ connectionString: `${URL_WITHOUT}?${query}` })).not.toHaveProperty('stream');
    }
  });

  it('asks the function each time, and takes nothing but a text', async () => {
    const answers = ['one', 'two', '', 7, null];
    const { password } = postgresConnection({
      connectionString: URL_WITHOUT,
      password: () => answers.shift() as never,
    });
    const ask = password as () => Promise<string>;
    expect([await ask(), await ask()]).toEqual(['one', 'two']);
    for (const what of ['an empty text', 'number', 'null']) {
      await expect(ask()).rejects.toMatchObject({
        code: 'DATABASE_SECRET_UNUSABLE',
        message: expect.stringContaining(what),
      });
    }
  });

  it.each<[what: string, settings: PostgresConnectionSettings, told: string]>([
    [
      'an unknown mode',
      { connectionString: `${URL_WITHOUT}?sslmode=on` },
      'the sslmode "on"; use one of disable, prefer',
    ],
    ['an unknown mode of the option', { connectionString: URL_WITHOUT, tls: { mode: 'on' as never } }, 'use one of'],
    [
      'verify-ca without an authority',
      { connectionString: `${URL_WITHOUT}?sslmode=verify-ca` },
      'without an authority',
    ],
    [
      'a certificate without its key',
      { connectionString: `${URL_WITHOUT}?sslmode=verify-full&sslcert=/a.pem` },
      'only one of client certificate and key',
    ],
    [
      'files without TLS',
      { connectionString: `${URL_WITHOUT}?sslmode=disable&sslrootcert=/a.pem` },
      'has files for TLS and the sslmode disable',
    ],
    [
      'direct negotiation that may end in plain text',
      { connectionString: `${URL_WITHOUT}?sslmode=prefer&sslnegotiation=direct` },
      'sslnegotiation=direct with the sslmode prefer',
    ],
    [
      'another negotiation',
      { connectionString: `${URL_WITHOUT}?sslmode=require&sslnegotiation=x` },
      'use postgres or direct',
    ],
    [
      'TLS in the URL and in the option',
      { connectionString: `${URL_WITHOUT}?sslmode=require`, tls: { mode: 'verify-full' } },
      'both speak of TLS',
    ],
    [
      'two passwords',
      { connectionString: URL_WITHOUT, password: PASSWORD, passwordFile: '/run/secrets/p' },
      'password and passwordFile',
    ],
    [
      'a password in the URL and another one',
      { connectionString: 'postgres://orders:secret@db/orders', password: PASSWORD },
      'the database URL has a password, and there is another one',
    ],
  ])('refuses %s, and says what to do', (_what, settings, told) => {
    const make = expect(() => postgresConnection(settings));
    make.toThrow(ParticipantConfigurationError);
    make.toThrow(told);
    make.not.toThrow('secret');
  });
});

describe('the TLS parameters of a URL', () => {
  it.each([
    ['sslmode=verify-full&sslrootcert=system', { mode: 'verify-full' }],
    ['sslmode=require&sslrootcert=/ca.pem&uselibpqcompat=true', { mode: 'require', ca: '/ca.pem' }],
    ['sslmode=no-verify', { mode: 'require' }],
    ['ssl=true', { mode: 'verify-full' }],
    ['ssl=false', { mode: 'disable' }],
    ['sslrootcert=/ca.pem', { mode: 'verify-full', ca: '/ca.pem' }],
  ])('%s mean what they mean elsewhere', (query, tls) => {
    expect(takeSslFromUrl(`${URL_WITHOUT}?${query}&options=x`)).toEqual({ tls, rest: `${URL_WITHOUT}?options=x` });
  });

  it.each([
    [{ connectionString: URL_WITHOUT }, false],
    [{ connectionString: `${URL_WITHOUT}?sslmode=require` }, false],
    [{ connectionString: `${URL_WITHOUT}?sslmode=require&sslrootcert=/ca.pem` }, true],
    [{ connectionString: `${URL_WITHOUT}?sslmode=verify-full` }, true],
    [{ connectionString: URL_WITHOUT, tls: () => ({}) }, undefined],
  ])('%j: whether another server would be noticed: %j', (settings, expected) => {
    expect(noticesImpostors(settings)).toBe(expected);
  });
});
