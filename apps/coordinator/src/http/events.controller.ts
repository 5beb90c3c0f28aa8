import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readAccessOf } from './access.js';
import { EventStreams, type StreamReader } from './event-streams.js';
import { Call } from './call.decorator.js';
import { RequestRefusedError } from './problems.js';
import { noQuerySchema } from './schemas.js';
import { parseQuery, parseTransactionId } from './validation.js';

/** Server-sent events (WHATWG HTML, section 9.2). Every node serves them from its applied state. */
@Controller('v1')
export class EventsController {
  constructor(@Inject(EventStreams) private readonly streams: EventStreams) {}

  @Get('events')
  @Call({
    id: 'streamEvents',
    summary: 'Streams every change of every transaction',
    tag: 'events',
    answers: { 200: 'events' },
    problems: [400, 503],
  })
  all(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    parseQuery(noQuerySchema, request.query);
    const lastEventId = parseLastEventId(request);
    if (request.method === 'HEAD') void reply.type('text/event-stream').send();
    else this.streams.openAll(reply, lastEventId, readerOf(request));
  }

  @Get('transactions/:id/events')
  @Call({
    id: 'streamTransaction',
    withId: true,
    summary: 'Streams a transaction until it has ended',
    tag: 'events',
    answers: { 200: 'events' },
    problems: [400, 404, 410, 503],
  })
  async one(@Req() request: FastifyRequest<{ Params: { id: string } }>, @Res() reply: FastifyReply): Promise<void> {
    const id = parseTransactionId(request.params.id);
    parseQuery(noQuerySchema, request.query);
    parseLastEventId(request); // validated only: the stream opens with the newest state anyway
    const reader = readerOf(request);
    const state = await this.streams.stateOf(id, reader.access);
    if (request.method === 'HEAD') void reply.type('text/event-stream').send();
    else this.streams.openOne(reply, state, reader);
  }
}

function readerOf(request: FastifyRequest): StreamReader {
  const { id: principal, expiresAt, counts } = request.principal ?? {};
  return { principal, access: readAccessOf(request), expiresAt, counts };
}

function parseLastEventId(request: FastifyRequest): number | undefined {
  const text = request.headers['last-event-id'];
  if (text === undefined || text === '') return undefined;
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text);
  const message = 'must be the id of an event: a whole number';
  throw new RequestRefusedError('INVALID_EVENT_ID', `Last-Event-ID ${message}`, [{ path: 'Last-Event-ID', message }]);
}
