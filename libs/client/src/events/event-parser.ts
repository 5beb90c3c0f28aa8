import { InvalidAnswerError } from '../errors/errors.js';

/** An event of a stream, as it was sent. */
export interface ServerEvent {
  /** `message` when the stream does not name it */
  readonly event: string;
  readonly data: string;
  /** the last id so far, which resumes the stream after this event; undefined when there was none */
  readonly id: string | undefined;
}

/** An event has one transaction, which is below 2 MiB; what is longer was not sent by a coordinator. */
const MAXIMUM_EVENT_LENGTH = 8 * 1024 * 1024;

/**
 * Server-sent events (WHATWG HTML, section 9.2) from pieces of text, cut anywhere. Lines end with LF, CR or CR LF, also
 * when a cut is between the two.
 */
export class EventParser {
  /** of the line that has not ended yet */
  private pieces: string[] = [];
  private bufferedLength = 0;
  private isAfterCarriageReturn = false;
  private event = '';
  private data: string[] = [];
  private id: string | undefined;
  private reconnect: number | undefined;

  /** what the stream asks a client to wait before it connects again, in milliseconds */
  get reconnectMs(): number | undefined {
    return this.reconnect;
  }

  /** @returns the events that end in this piece; @throws InvalidAnswerError for an event without end */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    let start = this.skipLineFeed(text);
    for (let at = start; at < text.length; at++) {
      const character = text.charCodeAt(at);
      if (character !== 10 && character !== 13) continue;
      const event = this.endLine(text.slice(start, at));
      if (event !== undefined) events.push(event);
      if (character === 13 && text.charCodeAt(at + 1) === 10) at++;
      this.isAfterCarriageReturn = character === 13 && at === text.length - 1;
      start = at + 1;
    }
    this.keep(text.slice(start));
    return events;
  }

  /** The second half of a CR LF that was cut in two. */
  private skipLineFeed(text: string): number {
    if (text === '') return 0;
    const isLineFeed = this.isAfterCarriageReturn && text.charCodeAt(0) === 10;
    this.isAfterCarriageReturn = false;
    return isLineFeed ? 1 : 0;
  }

  private keep(rest: string): void {
    if (rest === '') return;
    this.pieces.push(rest);
    this.grow(rest.length);
  }

  private grow(length: number): void {
    this.bufferedLength += length;
    if (this.bufferedLength > MAXIMUM_EVENT_LENGTH) {
      throw new InvalidAnswerError(`an event has more than ${MAXIMUM_EVENT_LENGTH} characters`);
    }
  }

  private endLine(rest: string): ServerEvent | undefined {
    this.pieces.push(rest);
    this.grow(rest.length);
    const line = this.pieces.join('');
    this.pieces = [];
    if (line === '') return this.dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) this.bufferedLength -= line.length; // a comment, which keeps the connection alive
    if (colon < 0) this.field(line, '');
    else this.field(line.slice(0, colon), line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1));
    return undefined;
  }

  private field(name: string, value: string): void {
    if (name === 'event') this.event = value;
    else if (name === 'data') this.data.push(value);
    else if (name === 'id' && !value.includes('\0')) this.id = value;
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) this.reconnect = Number(value);
  }

  private dispatch(): ServerEvent | undefined {
    const { event, data, id } = this;
    this.event = '';
    this.data = [];
    this.bufferedLength = 0;
    if (data.length === 0) return undefined;
    return { event: event === '' ? 'message' : event, data: data.join('\n'), id };
  }
}
