import { describe, expect, it } from '@jest/globals';
import { formatMessage, parseMessage } from './message-notation.js';
import { Script } from './script.js';
import { wordsOf } from './fields.js';

function run(...lines: string[]): string {
  return Script.parse('some.txt', `${lines.join('\n')}\n`).run();
}

describe('a golden script', () => {
  it('keeps its comments and gets its outputs', () => {
    const text = run('# why', '', 'nodes 1', 'status', '----', 'something else', '', '# more');
    const status = '1 follower term=1 vote=0 leader=none last=1 persisted=1 commit=1 applied=1 voters 1';
    expect(text).toBe(`# why\n\nnodes 1\nstatus\n----\n${status}\n\n# more\n`);
  });

  it('comes out the same when it is run again', () => {
    const once = run('nodes 1 2 3', 'elect 1', 'propose 1 "a"', 'settle', '', 'pass 3', 'status');
    expect(Script.parse('some.txt', once).run()).toBe(once);
  });

  it('says ok where nothing comes out', () => {
    expect(run('nodes 1 2')).toBe('nodes 1 2\n----\nok\n');
  });

  it.each([
    ['an unknown command', ['nodes 1 2', 'vanish 1'], 'some.txt:2: vanish is no command'],
    ['too few words', ['propose 1'], 'some.txt:1: usage: propose <node>'],
    ['too many words', ['nodes 1', '', 'status 1 2'], 'some.txt:3: usage: status [nodes]'],
    ['a node that is not there', ['nodes 1', 'tick 2'], 'some.txt:2: there is no node 2'],
    ['a node that is down', ['nodes 1', 'crash 1', 'tick 1'], 'some.txt:3: node 1 is down'],
    ['an unknown option', ['nodes 1 speed=3'], 'some.txt:1: speed= has no meaning here'],
    ['no number', ['tick one'], 'some.txt:1: one is no number'],
    ['an open quote', ['nodes 1', 'propose 1 "a'], 'some.txt:2: " is missing'],
    ['an unknown message', ['nodes 1', 'message 2->1 hello term=1'], 'some.txt:2: hello is no type of message'],
    ['a field too few', ['message 2->1 append-entries-accepted term=1'], 'some.txt:1: match= is missing'],
    ['a field too many', ['message 2->1 timeout-now term=1 last=1@1'], 'some.txt:1: last has no meaning here'],
    ['a message that was not sent', ['nodes 1 2', 'deliver 1->2'], 'some.txt:2: there is no such message on its way'],
    ['an output without commands', ['----'], 'some.txt:1: an output has no commands'],
    ['a comment among commands', ['nodes 1', '# so'], 'some.txt:2: a comment stands before the commands'],
    ['a timeout out of range', ['nodes 1 timeout=4'], 'some.txt:1: invariant violated: an election timeout is within'],
  ])('refuses %s, with file and line', (_name, lines, message) => {
    expect(() => run(...lines)).toThrow(message);
  });

  it('stops when two nodes lead in one term, whatever is recorded', () => {
    const elected = ['node 1 members=1,2,3', 'campaign 1', 'message 2->1 pre-vote-reply term=1 granted'];
    const other = elected.map((line) => line.replaceAll('1 members', '3 members').replace('campaign 1', 'campaign 3'));
    const votes = ['message 2->1 request-vote-reply term=2 granted', 'message 2->3 request-vote-reply term=2 granted'];
    const twice = [...elected, ...other.map((line) => line.replace('2->1', '2->3')), ...votes];
    expect(() => run(...twice)).toThrow('election safety: nodes 1 and 3 lead in term 2');
  });

  it('stops when two nodes write different entries of one index and term, whatever is recorded', () => {
    const append = (to: number, data: string): string =>
      `message 2->${to} append-entries term=2 previous=1@1 commit=1 entries=[2@2 "${data}"]`;
    const differing = ['node 1 members=1,2,3', 'node 3 members=1,2,3', append(1, 'a'), append(3, 'b')];
    expect(() => run(...differing)).toThrow('log matching: node 3 writes 2@2 "b", another one wrote 2@2 "a"');
  });

  it('stops when two nodes apply different entries at one index, whatever is recorded', () => {
    const differing = ['node 1 voters=1,2 log=1,1 commit=2', 'node 2 voters=1,2 log=1,2 commit=2'];
    expect(() => run(...differing)).toThrow('state machine safety: node 2 applies 2@2, another one applied 2@1');
  });
});

describe('the notation of messages', () => {
  it.each([
    '1->2 request-pre-vote term=3 last=4@2',
    '2->1 pre-vote-reply term=3 granted',
    '1->2 request-vote term=3 last=4@2',
    '1->2 request-vote term=3 last=4@2 transfer',
    '2->1 request-vote-reply term=3 refused',
    '1->2 append-entries term=3 previous=0@0 commit=0',
    '1->2 append-entries term=3 previous=4@2 commit=4 round=7 entries=[5@2; 6@3 no-op; 7@3 "x y"; 8@3 (200 bytes)]',
    '1->2 append-entries term=3 previous=4@2 commit=4 entries=[5@3 voters 1,2 outgoing 1,3 learners 4 priorities 2:10]',
    '2->1 append-entries-accepted term=3 match=8',
    '2->1 append-entries-refused term=3 previous=8 hint=4@2 round=7',
    '1->2 snapshot-chunk term=3 snapshot=9@2 voters=1,2 outgoing=1,3 learners=4 size=10 offset=5 data="state"',
    '2->1 snapshot-chunk-reply term=3 snapshot=9@2 next=5',
    '1->2 timeout-now term=3',
    '2->1 read-index-request term=3 id=5',
    '1->2 read-index-reply term=3 id=5 index=9',
  ])('can be read back: %s', (text) => {
    expect(formatMessage(parseMessage(wordsOf(text)))).toBe(text);
  });
});
