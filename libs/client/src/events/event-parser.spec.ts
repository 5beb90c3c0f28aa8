import { describe, expect, it } from '@jest/globals';
import { EventParser, type ServerEvent } from './event-parser.js';

function parse(...pieces: string[]): ServerEvent[] {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

const one = { event: 'transaction', data: '{"a":1}', id: '7' };

describe('server-sent events', () => {
  it.each<[string, string, readonly ServerEvent[]]>([
    ['an event', 'event: transaction\nid: 7\ndata: {"a":1}\n\n', [one]],
    ['lines that end with CR LF', 'event: transaction\r\nid: 7\r\ndata: {"a":1}\r\n\r\n', [one]],
    ['lines that end with CR', 'event: transaction\rid: 7\rdata: {"a":1}\r\r', [one]],
    ['no space after the colon', 'event:transaction\nid:7\ndata:{"a":1}\n\n', [one]],
    ['only one space is cut', 'data:  x\n\n', [{ event: 'message', data: ' x', id: undefined }]],
    ['several lines of data', 'data: a\ndata: b\n\n', [{ event: 'message', data: 'a\nb', id: undefined }]],
    ['a field without a colon', 'data\n\n', [{ event: 'message', data: '', id: undefined }]],
    [
      'comments and unknown fields',
      ': keep-alive\n\ncolour: red\ndata: x\n\n',
      [{ event: 'message', data: 'x', id: undefined }],
    ],
    ['no data, no event', 'event: transaction\nid: 9\n\ndata: x\n\n', [{ event: 'message', data: 'x', id: '9' }]],
    ['an id with NUL is no id', 'id: 1\0\ndata: x\n\n', [{ event: 'message', data: 'x', id: undefined }]],
    [
      'an id holds for later events',
      'id: 4\ndata: x\n\ndata: y\n\n',
      [
        { event: 'message', data: 'x', id: '4' },
        { event: 'message', data: 'y', id: '4' },
      ],
    ],
    ['an event that does not end', 'data: x\n', []],
  ])('%s', (_, text, events) => {
    expect(parse(text)).toEqual(events);
    expect(parse(...text.split(''))).toEqual(events); // one character at a time
  });

  it('does not depend on where the text is cut', () => {
    const text =
      ': hello\r\nretry: 300\r\n\r\nevent: transaction\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata: y\n\n';
    const whole = parse(text);
    expect(whole).toHaveLength(2);
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        expect(parse(text.slice(0, first), text.slice(first, second), text.slice(second))).toEqual(whole);
      }
    }
  });

  it('knows when to come back', () => {
    const parser = new EventParser();
    parser.push('retry: soon\n\n');
    expect(parser.reconnectMs).toBeUndefined();
    parser.push('retry: 300\n\n');
    expect(parser.reconnectMs).toBe(300);
  });

  it('refuses an event without end, but no number of comments', () => {
    const parser = new EventParser();
    const comment = `: ${'x'.repeat(1024 * 1024)}\n`;
    for (let count = 0; count < 20; count++) parser.push(comment);
    const push = () => parser.push(`data: ${'x'.repeat(1024 * 1024)}\n`);
    for (let count = 0; count < 7; count++) push();
    expect(push).toThrow('an event has more than');
  });
});
