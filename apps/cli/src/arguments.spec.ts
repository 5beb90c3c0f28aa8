import { describe, expect, it } from '@jest/globals';
import { HELP, parseCommand, UsageError } from './arguments.js';

const options = { port: 8081, directory: '.concordat-dev', logLevel: 'warn' };

describe('the command concordat', () => {
  it.each([
    [['dev'], { kind: 'dev', options }],
    [['dev', '--port', '9000', '--directory', '/tmp/x'], { options: { port: 9_000, directory: '/tmp/x' } }],
    [['dev', '--ephemeral', '--log-level', 'info'], { options: { directory: undefined, logLevel: 'info' } }],
    [['dev', '--help'], { kind: 'help', text: HELP }],
    [[], { kind: 'help', text: HELP }],
    [['--help'], { kind: 'help', text: HELP }],
    [['server'], { kind: 'server' }],
    [['server', '--help'], { kind: 'server-help' }],
  ])('%j', (argv, expected) => expect(parseCommand(argv)).toMatchObject(expected));

  it.each([
    [['serve'], 'There is no command "serve"; there are: dev and server.'],
    [['server', 'now'], '"server" takes no further words'],
    [['server', '--port', '9000'], '"server" has no option --port; its settings are environment variables'],
    [['dev', 'now'], '"dev" takes no further words, and there is "now"'],
    [['dev', '--port', '80'], '--port is "80"; it must be a whole number from 2024 to 64535'],
    [['dev', '--port', '8081a'], '--port is "8081a"'],
    [['dev', '--ephemeral', '--directory', 'x'], '--ephemeral keeps no data'],
    [['dev', '--fast'], "Unknown option '--fast'"],
  ])('%j is refused', (argv, sentence) => {
    expect(() => parseCommand(argv)).toThrow(UsageError);
    expect(() => parseCommand(argv)).toThrow(sentence);
  });
});
