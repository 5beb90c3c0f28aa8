import { describe, expect, it } from '@jest/globals';
import { HELP, parseCommand } from './arguments.js';
import { DEV_HELP } from './dev-options.js';
import { DOCTOR_HELP } from './doctor/options.js';
import { KAFKA_HELP } from './messages/acl-options.js';
import { KEY_HELP } from './messages/key-options.js';
import { MIGRATE_HELP } from './migrate/options.js';
import { TOKEN_HELP } from './token-options.js';
import { UsageError } from './usage-error.js';

const options = { port: 8081, directory: '.concordat-dev', logLevel: 'warn', databases: undefined };

describe('the command concordat', () => {
  it.each([
    [['dev'], { kind: 'dev', options }],
    [['dev', '--port', '9000', '--directory', '/tmp/x'], { options: { port: 9_000, directory: '/tmp/x' } }],
    [['dev', '--ephemeral', '--log-level', 'info'], { options: { directory: undefined, logLevel: 'info' } }],
    [
      ['dev', '--databases', 'orders, stock-2'],
      { options: { databases: { names: ['orders', 'stock-2'], port: 5450 } } },
    ],
    [
      ['dev', '--databases', 'a', '--databases-port', '6000'],
      { options: { databases: { names: ['a'], port: 6_000 } } },
    ],
    [['dev', '--help'], { kind: 'help', text: DEV_HELP }],
    [[], { kind: 'help', text: HELP }],
    [['--help'], { kind: 'help', text: HELP }],
    [['help'], { kind: 'help', text: HELP }],
    [['help', 'dev'], { kind: 'help', text: DEV_HELP }],
    [['--version'], { kind: 'version' }],
    [['server'], { kind: 'server' }],
    [['server', '--help'], { kind: 'server-help' }],
    [['doctor', '--help'], { kind: 'help', text: DOCTOR_HELP }],
    [
      ['doctor', '--database', 'postgres://a@b/c', '--database', 'postgres://d@e/f', '--json'],
      {
        kind: 'doctor',
        options: { databases: ['postgres://a@b/c', 'postgres://d@e/f'], json: true, schema: 'public' },
      },
    ],
    [['migrate', '--help'], { kind: 'help', text: MIGRATE_HELP }],
    [
      ['migrate', '--database', 'postgres://m@db/orders', '--grant-to', 'orders', '--participant', 'orders'],
      {
        kind: 'migrate',
        options: { schema: 'public', grantTo: 'orders', owner: { participant: 'orders', cluster: 'local' } },
      },
    ],
    [['token', 'create', '--role', 'client'], { kind: 'token', options: { name: 'client', roles: ['client'] } }],
    [
      ['token', 'create', '--role', 'client', '--role', 'participant:bank-a', '--name', 'a', '--until', '2027-01-31'],
      { options: { name: 'a', roles: ['client', 'participant:bank-a'], until: '2027-01-31' } },
    ],
    [['token', 'create', '--role', 'participant:bank-a'], { options: { name: 'participant-bank-a' } }],
    [['token', '--help'], { kind: 'help', text: TOKEN_HELP }],
    [['token', 'create', '--help'], { kind: 'help', text: TOKEN_HELP }],
    [
      ['key', 'create', '--id', 'k1', '--sender', 'participant:bank-a', '--until', '2027-01-31'],
      { kind: 'key', options: { id: 'k1', senders: ['participant:bank-a'], isShared: false, path: 'k1.key.json' } },
    ],
    [['key', 'create', '--id', 'k1', '--shared', '--out', 'x'], { options: { isShared: true, path: 'x' } }],
    [['key', '--help'], { kind: 'help', text: KEY_HELP }],
    [['kafka', '--help'], { kind: 'help', text: KAFKA_HELP }],
    [['kafka', 'acls'], { kind: 'acls', options: { cluster: 'local', principal: 'User:concordat-coordinator' } }],
    [
      ['kafka', 'acls', '--participant', 'bank-a', '--cluster', 'prod', '--prefix', 'x.y', '--principal', 'User:a'],
      { options: { cluster: 'prod', topicPrefix: 'x.y', participant: 'bank-a', principal: 'User:a' } },
    ],
  ])('%j', (argv, expected) => expect(parseCommand(argv)).toMatchObject(expected));

  it.each([
    [['serve'], 'there is no command "serve"; there are: dev, server, doctor, migrate, token, key, kafka.'],
    [['migrate'], '"migrate" needs --database, once'],
    [['migrate', '--database', 'postgres://m@a/b', '--cluster', 'x'], '--participant, which is missing'],
    [['migrate', '--database', 'mysql://m:secret@a/b'], '--database must be a URL such as'],
    [['migrate', '--kafka', 'a:1'], '"migrate" has no option --kafka'],
    [['server', 'now'], '"server" takes no further words'],
    [
      ['server', '--port', '9000'],
      '"server" has no option --port; concordat server --help lists its settings, which are environment variables.',
    ],
    [['dev', 'now'], '"dev" takes no further words, and there is "now"'],
    [['dev', '--port', '80'], '--port is "80"; it must be a whole number from 2024 to 64535'],
    [['dev', '--port', '8081a'], '--port is "8081a"'],
    [['dev', '--ephemeral', '--directory', 'x'], '--ephemeral keeps no data'],
    [['dev', '--databases', 'orders,'], '--databases has ""'],
    [['dev', '--databases', 'Orders'], '--databases has "Orders"'],
    [['dev', '--databases', 'postgres'], '--databases has "postgres"'],
    [['dev', '--databases', 'pg_a'], '--databases has "pg_a"'],
    [['dev', '--databases', 'a,a'], 'name at most 16 databases, and each once'],
    [['dev', '--databases-port', '5450'], '--databases-port is the port of --databases, which is missing'],
    [['dev', '--databases', 'a', '--databases-port', '80'], 'a whole number from 1024 to 65535'],
    [
      ['dev', '--databases', 'a', '--databases-port', '9081'],
      '--databases-port is 9081, which the coordinator uses itself',
    ],
    [['dev', '--log-level', 'loud'], '--log-level is "loud"; it must be one of debug, info, warn, error.'],
    [['dev', '--version'], '"dev" has no option --version; concordat --version prints it.'],
    [['dev', '--port', '-1'], "Option '--port' argument is ambiguous; --help lists the options."],
    [['dev', '--fast'], "Unknown option '--fast'; --help lists the options."],
    [['dev', '--kafka', 'b:9092'], '"dev" has no option --kafka'],
    [['doctor'], '"doctor" needs something to look at'],
    [['doctor', '--port', '8081'], '"doctor" has no option --port'],
    [['doctor', '--database', 'orders'], '--database must be a URL such as'],
    [['doctor', '--coordinator', 'node-1:8081'], '--coordinator must be a URL such as'],
    [['doctor', '--participant', 'Orders!', '--kafka', 'b:9092'], '--participant must be lower-case letters'],
    [['doctor', '--cluster', 'Local', '--kafka', 'b:9092'], '--cluster must be lower-case letters'],
    [['doctor', '--topic-prefix', '-', '--kafka', 'b:9092'], '--topic-prefix must be at most'],
    [['doctor', '--kafka', 'b'], '--kafka must be host:port'],
    [['doctor', 'postgres://a:secret@b/c'], '"doctor" takes no further words, and there is "postgres://***@b/c"'],
    [['postgres://a:secret@b/c'], 'there is no command "postgres://***@b/c"'],
    [['dev', '--role', 'client'], '"dev" has no option --role'],
    [['token'], 'the only command of "token" is "concordat token create"'],
    [['token', 'list'], 'the only command of "token" is "concordat token create"'],
    [['token', 'create', 'now'], '"token" takes no further words, and there is "now"'],
    [['token', 'create'], '"token create" needs --role'],
    [['key', 'create', '--sender', 'coordinator'], '"key create" needs --id'],
    [['key', 'create', '--id', 'k'], '"key create" needs --sender'],
    [['key', 'make'], 'the only command of "key" is "concordat key create"'],
    [['kafka'], 'the only command of "kafka" is "concordat kafka acls"'],
    [['kafka', 'acls', '--participant', 'A b'], '--participant must be lower-case letters'],
    [['kafka', 'acls', '--cluster', 'A'], '--cluster must be lower-case letters'],
    [['kafka', 'acls', '--prefix', '-'], '--prefix must be at most'],
    [['kafka', 'acls', '--principal', 'orders'], '--principal must be a principal of the broker'],
    [['token', 'create', '--role', 'client', '--port', '9000'], '"token" has no option --port'],
  ])('%j is refused', (argv, sentence) => {
    expect(() => parseCommand(argv)).toThrow(UsageError);
    expect(() => parseCommand(argv)).toThrow(sentence);
  });
});
