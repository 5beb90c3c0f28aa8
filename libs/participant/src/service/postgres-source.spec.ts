import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, Pool, type ClientConfig, type PoolConfig } from 'pg';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { GlobalConfigurationError } from '../global/index.js';
import { describeConnection } from '../postgres/connections/client-options.js';
import { noticesImpostors, postgresConnection } from '../postgres/connections/connection-config.js';
import { SecureSocket, type SocketSecurity } from '../postgres/connections/secure-socket.js';
import { joinPool } from '../postgres/index.js';
import { ParticipantConfigurationError } from '../runtime/errors.js';
import { reportDifferences, settingsOf, type PostgresSource } from './postgres-source.js';

const VARIABLES = [
  'PGHOST',
  'PGPORT',
  'PGUSER',
  'PGPASSWORD',
  'PGDATABASE',
  'PGOPTIONS',
  'PGSSLMODE',
  'PGSSLNEGOTIATION',
];
const before = { ...process.env };

beforeEach(() => {
  for (const name of VARIABLES) delete process.env[name];
});

afterEach(() => {
  for (const name of VARIABLES) delete process.env[name];
  Object.assign(process.env, before);
});

/** Private members of `pg`: what it is going to connect with. */
interface Parameters {
  readonly password?: unknown;
  readonly connectionParameters: { readonly options?: string; readonly client_encoding?: string };
}

/** Where a configuration leads, as `pg` itself understands it. */
function wayOf(config: ClientConfig) {
  const client = new Client(config);
  const { password, connectionParameters } = client as unknown as Parameters;
  const { host, port, user, database } = client;
  const { options, client_encoding } = connectionParameters;
  return { host, port, user, database, password, options, client_encoding };
}

const configOf = (source: PostgresSource): ClientConfig => postgresConnection(settingsOf(source));
const whereOf = (source: PostgresSource): string => describeConnection(settingsOf(source));

describe('the connections of the participant, from a pool', () => {
  it.each<[what: string, config: PoolConfig, variables: Readonly<Record<string, string>>, where: string]>([
    [
      'only variables',
      {},
      {
        PGHOST: 'db',
        PGPORT: '5433',
        PGUSER: 'orders',
        PGPASSWORD: 's3cret',
        PGDATABASE: 'shop',
        PGOPTIONS: '-c x.y=1',
      },
      'orders@db:5433/shop',
    ],
    [
      'a password, and the user in a variable',
      { host: 'db', database: 'shop', password: 's3cret' },
      { PGUSER: 'orders' },
      'orders@db:5432/shop',
    ],
    ['no database', { host: 'db', user: 'orders' }, {}, 'orders@db:5432/orders'],
    ['IPv6', { host: '::1', user: 'orders', database: 'shop' }, {}, 'orders@[::1]:5432/shop'],
    [
      'a socket of the file system',
      { host: '/var/run/postgresql', user: 'orders', database: 'shop' },
      {},
      'orders@[/var/run/postgresql]:5432/shop',
    ],
    [
      'names that a URL would need to escape',
      { host: 'db', user: 'or@ders', password: 'a/b:c#', database: 'da ta/%2F' },
      {},
      'or%40ders@db:5432/da%20ta%2F%252F',
    ],
    [
      'options and encoding',
      { host: 'db', user: 'orders', options: '-c search_path=shop', client_encoding: 'LATIN1' },
      {},
      'orders@db:5432/orders',
    ],
    [
      'a URL, which comes before the members beside it',
      { connectionString: 'postgres://orders:s3cret@db/shop', host: 'other', user: 'other', options: '-c a.b=1' },
      {},
      'orders@db/shop',
    ],
    ['a URL that leaves something to variables', { connectionString: 'postgres://db' }, { PGUSER: 'orders' }, 'db'],
  ])('lead where those of the pool lead: %s', (_what, config, variables, where) => {
    Object.assign(process.env, variables);
    const pool = new Pool(config);
    const expected = wayOf({ ...pool.options, password: pool.options.password });
    expect(wayOf(configOf(pool))).toEqual(expected);
    expect(whereOf(pool)).toBe(where);
    expect(whereOf(pool)).not.toContain('s3cret');
  });

  it('ask its function for the password', async () => {
    const pool = new Pool({ host: 'db', user: 'orders', password: async () => 'asked' });
    const { password } = configOf(pool);
    expect(await (password as () => Promise<string>)()).toBe('asked');
  });

  it('have its TLS, with the private key that pg hides, and the negotiation', () => {
    const ssl = { ca: 'an authority', cert: 'a certificate', key: 'a private key' };
    const security = securityOf(new Pool({ host: 'db', ssl, sslnegotiation: 'direct' }));
    expect(security.options()).toEqual({ ca: 'an authority', cert: 'a certificate', key: 'a private key' });
    expect(security.isDirect).toBe(true);
    expect(securityOf(new Pool({ host: 'db', ssl: true }))).toMatchObject({ isDirect: false, mayBePlain: false });
    expect(configOf(new Pool({ host: 'db', ssl: true })).ssl).toBe(false); // not twice
  });

  it('have none over a socket of the file system, also if only a variable names it', () => {
    expect(configOf(new Pool({ host: '/run/postgresql', ssl: true }))).not.toHaveProperty('stream');
    process.env['PGHOST'] = '/run/postgresql';
    expect(configOf(new Pool({ ssl: true }))).not.toHaveProperty('stream');
  });

  it('leave TLS to the variables where the pool says nothing, and plain text where it says so', () => {
    process.env['PGSSLMODE'] = 'require';
    expect(sslOf(configOf(new Pool({ host: 'db' })))).toBe(true);
    expect(sslOf(configOf(new Pool({ host: 'db', ssl: false })))).toBe(false);
    expect(noticesImpostors(settingsOf(new Pool({ host: 'db' })))).toBeUndefined();
    process.env['PGSSLNEGOTIATION'] = 'direct';
    expect(sslOf(configOf(new Pool({ host: 'db', ssl: true })))).toBe(false); // made below pg, which has no objection
    expect(securityOf(new Pool({ host: 'db', ssl: true })).isDirect).toBe(true);
  });

  it.each<[what: string, config: PoolConfig, told: string]>([
    ['its own sockets', { stream: () => undefined }, 'leave stream out'],
    ['a class of its own', { Client: class extends Client {} }, 'leave Client out'],
    ['a set-up of each connection', { onConnect: () => undefined }, "options ('-c search_path=orders')"],
  ])('are refused where they could not be alike: %s', (_what, config, told) => {
    for (const refuse of [() => settingsOf(new Pool(config)), () => settingsOf(dataSourceOf({ extra: config }))]) {
      expect(refuse).toThrow(GlobalConfigurationError);
      expect(refuse).toThrow(told);
      expect(refuse).toThrow('in joining');
    }
    expect(() => configOf({ connection: { host: 'db', ...config } })).toThrow(ParticipantConfigurationError);
  });

  it('are those of its options, with other settings beside them', () => {
    const pool = new Pool({ host: 'db', user: 'orders', password: 's3cret', max: 3 });
    const settings = { connection: pool.options, decisionConnections: 2 };
    expect(settingsOf(settings)).toBe(settings);
    expect(wayOf(configOf(settings))).toMatchObject({ host: 'db', user: 'orders', password: 's3cret' });
  });

  it('must be said once', () => {
    const connection = { host: 'db' };
    expect(() => configOf({ connectionString: 'postgres://db', connection })).toThrow('give one');
    expect(() => configOf({ connection: undefined })).toThrow('nothing says where the database is');
    expect(() => configOf({ connection: { ...connection, ssl: true }, tls: { mode: 'require' } })).toThrow(
      'the option tls and ssl of the connection both speak of TLS',
    );
    expect(() => configOf({ connection: { ...connection, password: 'x' }, passwordFile: '/p' })).toThrow('give one');
    expect(() => settingsOf({})).toThrow('postgres is none of');
  });
});

describe('the connections of the participant, from a DataSource', () => {
  it.each<[what: string, options: Partial<DataSourceOptions>, way: object]>([
    [
      'its members',
      { host: 'db', port: 5433, username: 'orders', password: 's3cret', database: 'shop' },
      { host: 'db', port: 5433, user: 'orders', password: 's3cret', database: 'shop' },
    ],
    ['its URL', { url: 'postgres://orders:s3cret@db/shop' }, { host: 'db', user: 'orders', database: 'shop' }],
    [
      'the master, with replication',
      {
        replication: {
          master: { url: 'postgres://orders:s3cret@primary/shop' },
          slaves: [{ url: 'postgres://orders:s3cret@standby/shop' }],
        },
      },
      { host: 'primary', user: 'orders', password: 's3cret', database: 'shop' },
    ],
    [
      'the members of the master',
      { replication: { master: { host: 'primary', username: 'orders', database: 'shop' }, slaves: [] } },
      { host: 'primary', user: 'orders', database: 'shop' },
    ],
    [
      'extra, which comes last',
      { host: 'db', username: 'other', extra: { user: 'orders', options: '-c search_path=shop' } },
      { host: 'db', user: 'orders', options: '-c search_path=shop' },
    ],
    ['a socket', { host: '/run/postgresql', username: 'orders' }, { host: '/run/postgresql', database: 'orders' }],
  ])('lead to %s', (_what, options, way) => {
    const dataSource = dataSourceOf(options);
    expect(settingsOf(dataSource).dataSource).toBe(dataSource);
    expect(wayOf(configOf(dataSource))).toMatchObject(way);
  });

  it('have the TLS of the master', () => {
    const master = { host: 'primary', ssl: { ca: 'an authority' } };
    expect(securityOf(dataSourceOf({ replication: { master, slaves: [] } })).options()).toEqual({ ca: 'an authority' });
  });

  it('are refused for another database', () => {
    const other = { createQueryRunner: () => undefined, options: { type: 'mysql' } } as never;
    expect(() => settingsOf(other)).toThrow('the DataSource is of the type mysql');
  });
});

describe('what a source sets on its own connections alone', () => {
  const told = (source: Pool | DataSource): string[] => {
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    reportDifferences(source, { info: log, warn: log });
    return lines;
  };

  it('is told of limits, and of listeners that are not those of joining', () => {
    const pool = new Pool({ host: 'db', statement_timeout: 5_000, query_timeout: 6_000, lock_timeout: 0 });
    expect(told(pool)).toEqual([
      expect.stringContaining('statement_timeout, query_timeout of the pool do not hold in global transactions'),
    ]);
    joinPool(pool, () => undefined, { onOutsideUse: () => undefined });
    expect(told(pool)).toHaveLength(1);
    pool.on('connect', (client) => void client.query('SET search_path = shop'));
    expect(told(pool)[1]).toContain("say it in the pool's options ('-c search_path=orders')");
    expect(told(dataSourceOf({ extra: { statement_timeout: 1 } }))).toEqual([
      expect.stringContaining('statement_timeout of the DataSource does not hold'),
    ]);
    expect(told(new Pool({ host: 'db' }))).toEqual([]);
  });
});

function dataSourceOf(options: Partial<DataSourceOptions>): DataSource {
  return new DataSource({ type: 'postgres', ...options } as DataSourceOptions);
}

function securityOf(source: PostgresSource): SocketSecurity {
  const socket = configOf(source).stream!();
  expect(socket).toBeInstanceOf(SecureSocket);
  return (socket as unknown as { readonly security: SocketSecurity }).security;
}

const sslOf = (config: ClientConfig): unknown => (new Client(config) as unknown as { ssl: unknown }).ssl;
