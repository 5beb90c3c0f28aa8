import { Controller, Delete, Get, Inject, Post, Put, Req, Res } from '@nestjs/common';
import { guarded, type Logger } from '@concordat/foundation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LOGGER } from '../logging.js';
import { LOCKS, type LocksApi } from '../locks/locks.api.js';
import { ownerOf, readAccessOf } from './access.js';
import { sendJson } from './answers.js';
import { formatCursor, parseCursor, type ListIdentity } from './cursor.js';
import { Call, type QueryParameter } from './call.decorator.js';
import { Reads } from './reads.js';
import { RequestGate } from './request-gate.js';
import {
  acquireLockSchema,
  emptyBodySchema,
  forceQuerySchema,
  lockListQuerySchema,
  lockProofQuerySchema,
  noQuerySchema,
  renewLockSchema,
} from './schemas.js';
import { parseBody, parseLockName, parseQuery } from './validation.js';

type RequestWithName = FastifyRequest<{ Params: { name: string } }>;

const LOCK_LIST: ListIdentity = { list: 'locks' };
const FORCE: QueryParameter = {
  name: 'force',
  schema: { type: 'string', enum: ['true', 'false'], default: 'false' },
};

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
    sendJson(reply, 200, await this.locks.acquire({ name, ...wanted, ...senderOf(request) }, this.gone(reply)));
  }

  @Post(':name/renew')
  @Call({
    id: 'renewLock',
    withLockName: true,
    summary: 'Extends the lease of the holder',
    tag: 'locks',
    body: 'RenewLock',
    query: [FORCE],
    answers: { 200: 'Lock' },
    problems: [400, 409, 413, 415, 503],
  })
  async renew(@Req() request: RequestWithName, @Res() reply: FastifyReply): Promise<void> {
    const name = parseLockName(request.params.name);
    const { force } = parseQuery(forceQuerySchema, request.query);
    const renewal = { name, ...parseBody(renewLockSchema, request.body), ...senderOf(request, force) };
    sendJson(reply, 200, await this.locks.renew(renewal));
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
      FORCE,
    ],
    answers: { 204: 'nothing' },
    problems: [400, 409, 413, 415, 503],
  })
  async release(@Req() request: RequestWithName, @Res() reply: FastifyReply): Promise<void> {
    const name = parseLockName(request.params.name);
    const { force, ...proof } = parseQuery(lockProofQuerySchema, request.query);
    parseBody(emptyBodySchema, request.body ?? {});
    await this.locks.release({ name, ...proof, ...senderOf(request, force) });
    void reply.code(204).send();
  }

  @Get()
  @Call({
    id: 'listLocks',
    summary: 'Lists the locks that are held, longest held first; for clients those that they have taken',
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
    const own = readAccessOf(request) === undefined ? {} : senderOf(request); // who may not read all reads its own
    await this.reads.answer(request, reply, async () => {
      const { value, ...reading } = await this.locks.list({ limit, ...after, ...own }, consistency);
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

/** Who asks, where senders are known. */
function senderOf(request: FastifyRequest, force?: 'true' | 'false'): { principal?: string; isForced?: true } {
  const principal = ownerOf(request);
  return { ...(principal !== undefined && { principal }), ...(force === 'true' && { isForced: true }) };
}
