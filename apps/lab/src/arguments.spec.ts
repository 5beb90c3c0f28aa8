import { describe, expect, it } from '@jest/globals';
import { parseCommand } from './arguments.js';
import { PART_NAMES, portsOf } from './local-system/ports.js';

const system = { directory: '.concordat', portOffset: 0, only: PART_NAMES, link: undefined, isSecure: undefined };

describe('the command line', () => {
  it.each([
    [['start'], { kind: 'start', detach: false, fresh: false, system }],
    [['start', '--detach', '--fresh'], { kind: 'start', detach: true, fresh: true, system }],
    [['start', '--port-offset', '100'], { kind: 'start', system: { ...system, portOffset: 100 } }],
    [['start', '--only', 'kafka,postgres-a'], { kind: 'start', system: { ...system, only: ['kafka', 'postgres-a'] } }],
    [['start', '--link', 'direct'], { kind: 'start', system: { ...system, link: 'direct' } }],
    [['start', '--secure'], { kind: 'start', system: { ...system, isSecure: true } }],
    [['lab', 'kill-leader', '--secure'], { kind: 'scenarios', system: { ...system, isSecure: true } }],
    [['stop', '--directory', '/tmp/x'], { kind: 'stop', system: { ...system, directory: '/tmp/x' } }],
    [['lab', 'list'], { kind: 'list' }],
    [['lab', 'restart', 'bank-a'], { kind: 'restart', names: ['bank-a'], system }],
    [['lab', 'restart', 'kafka', 'bank-a'], { kind: 'restart', names: ['kafka', 'bank-a'], system }],
    [['lab', 'kill-leader'], { kind: 'scenarios', names: ['kill-leader'], points: undefined, system }],
    [
      ['lab', 'crash-everywhere', '--points', '\\.undecided\\.'],
      { kind: 'scenarios', points: /\.undecided\./u, system },
    ],
    [['lab', 'all', '--points', 'disk'], { kind: 'scenarios', names: ['all'], points: /disk/u }],
    [['lab'], { kind: 'help' }],
    [['stop', '--help'], { kind: 'help' }],
  ])('%j', (argv, expected) => expect(parseCommand(argv)).toMatchObject(expected));

  it.each([
    [['run'], 'There is no command "run"'],
    [['start', '--port-offset', '-1'], 'port-offset'],
    [['start', '--port-offset', 'x'], '--port-offset is "x"'],
    [['start', '--only', 'kafka,mysql'], '--only names "mysql"'],
    [['start', '--link', 'post'], '--link is "post"; it must be one of kafka, direct, both'],
    [['start', '--what'], '--what'],
    [['stop', '--fresh'], 'belong to "npm start"'],
    [['stop', '--only', 'bank-a'], '"stop" ends the whole system of its --directory, and has no option --only.'],
    [['start', '--port-offset', '-1'], "Option '--port-offset' argument is ambiguous; --help lists the options."],
    [['start', 'now'], 'takes no further arguments'],
    [['lab', 'restart'], 'takes the names of parts'],
    [['lab', 'kill-leader', '--points', 'x'], 'belongs to "crash-everywhere", which "lab kill-leader" does not run'],
    [['lab', 'crash-everywhere', '--points', '('], '--points is "(", which is not a regular expression'],
    [['start', '--points', 'x'], '--points belongs to "npm run lab -- crash-everywhere", not to "start"'],
  ])('%j is refused', (argv, sentence) => expect(() => parseCommand(argv)).toThrow(sentence));
});

describe('ports', () => {
  it.each([
    ['coordinator-2', 0, { http: 8082, raft: 9082, direct: 7082 }],
    ['bank-c', 0, { http: 8093 }],
    ['postgres-a', 0, { postgres: 5433 }],
    ['kafka', 1000, { broker: 10092, controller: 10093 }],
    ['bank-a', 1000, { http: 9091 }],
  ] as const)('%s with offset %i', (name, offset, expected) => expect(portsOf(name, offset)).toEqual(expected));

  it('are all different', () => {
    const all = PART_NAMES.flatMap((name) => Object.values(portsOf(name, 0)));
    expect(new Set(all).size).toBe(all.length);
  });
});
