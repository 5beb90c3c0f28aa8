import { Controller, Delete, Get, Inject, Post, Put, Req, Res } from '@nestjs/common';
import { guarded, type Logger } from '@concordat/foundation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LOGGER } from '../logging.js';
import { LOCKS, type LocksApi } from '../locks/locks.api.js';
import { sendJson } from './answers.js';
import { formatCursor, parseCursor, type ListIdentity } from './cursor.js';
import { Call } from './openapi.decorators.js';
import { Reads } from './reads.js';
import { RequestGate } from './request-gate.js';
import {
  acquireLockSchema,
  emptyBodySchema,
  lockListQuerySchema,
  lockProofQuerySchema,
  noQuerySchema,
  renewLockSchema,
} from './schemas.js';
import { parseBody, parseLockName, parseQuery } from './validation.js';

type RequestWithName = FastifyRequest<{ Params: { name: string } }>;

const LOCK_LIST: ListIdentity = { list: 'locks' };

/** Locks over REST: parses a request, calls the leader's locks, writes the answer. */
@Controller('v1/locks')
export class LocksController {
  constructor(
    @Inject(LOCKS) private readonly locks: LocksApi,
    @Inject(Reads) private readonly reads: Reads,
    @Inject(RequestGate) gate: RequestGate,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    gate.onClosing(() => locks.endWaits());
  }

  @Put(':name')
  @Call({
    id: 'acquireLock',
    withLockName: true,
    summary: 'Takes a lock, or renews it for its holder; waits in order while another has it',
    tag: 'locks',
    body: 'AcquireLock',
    answers: { 200: 'Lock' },
    problems: [400, 409, 413, 415, 503],
  })
  async acquire(@Req() request: RequestWithName, @Res() reply: FastifyReply): Promise<void> {
    const name = parseLockName(request.params.name);
    parseQuery(noQuerySchema, request.query);
    const wanted = parseBody(acquireLockSchema, request.body);
    sendJson(reply, 200, await this.locks.acquire({ name, ...wanted }, this.gone(reply)));
  }

  @Post(':name/renew')
  @Call({
    id: 'renewLock',
    withLockName: true,
    summary: 'Extends the lease of the holder',
    tag: 'locks',
    body: 'RenewLock',
    answers: { 200: 'Lock' },
    problems: [400, 409, 413, 415, 503],
  })
  async renew(@Req() request: RequestWithName, @Res() reply: FastifyReply): Promise<void> {
    const name = parseLockName(request.params.name);
    parseQuery(noQuerySchema, request.query);
    sendJson(reply, 200, await this.locks.renew({ name, ...parseBody(renewLockSchema, request.body) }));
  }

  @Delete(':name')
  @Call({
    id: 'releaseLock',
    withLockName: true,
    summary: 'Gives a lock back',
    tag: 'locks',
    query: [
      { name: 'owner', required: true, schema: { type: 'string' } },
      { name: 'fencingToken', required: true, schema: { type: 'integer', minimum: 1 } },
    ],
    answers: { 204: 'nothing' },
    problems: [400, 409, 413, 415, 503],
  })
  async release(@Req() request: RequestWithName, @Res() reply: FastifyReply): Promise<void> {
    const name = parseLockName(request.params.name);
    const proof = parseQuery(lockProofQuerySchema, request.query);
    parseBody(emptyBodySchema, request.body ?? {});
    await this.locks.release({ name, ...proof });
    void reply.code(204).send();
  }

  @Get()
  @Call({
    id: 'listLocks',
    summary: 'Lists the locks that are held, longest held first',
    tag: 'locks',
    reading: true,
    query: [
      { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: 500, default: 50 } },
      { name: 'cursor', schema: { type: 'string' } },
    ],
    answers: { 200: 'LockPage' },
    problems: [400, 503],
  })
  async list(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const { consistency, cursor, limit } = parseQuery(lockListQuerySchema, request.query);
    const after = cursor === undefined ? {} : { cursor: Number(parseCursor(LOCK_LIST, cursor)) };
    await this.reads.answer(request, reply, async () => {
      const { value, ...reading } = await this.locks.list({ limit, ...after }, consistency);
      const nextCursor = value.nextCursor === null ? null : formatCursor(LOCK_LIST, String(value.nextCursor));
      return { ...reading, value: { ...value, nextCursor } };
    });
  }

  /** Aborted when the connection closes before the answer: the client waits no longer. */
  private gone({ raw }: FastifyReply): AbortSignal {
    const gone = new AbortController();
    raw.once(
      'close',
      guarded(
        () => {
          if (!raw.writableFinished) gone.abort();
        },
        (error) => this.logger.error('a client that has gone away could not be told of', error),
      ),
    );
    return gone.signal;
  }
}
