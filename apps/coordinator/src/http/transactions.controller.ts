import { Controller, Get, Inject, Post, Req, Res } from '@nestjs/common';
import { traceparentOf } from '@concordat/foundation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFIG, type Config } from '../config.js';
import { TRANSACTIONS, type TransactionsApi } from '../transactions/transactions.api.js';
import { abortAccessOf, commitAccessOf, enlistAccessOf, ownerOf, readAccessOf, type Joining } from './access.js';
import { sendJson, sendSettlement, transactionPath } from './answers.js';
import { formatCursor, parseCursor } from './cursor.js';
import { Call } from './call.decorator.js';
import { parseInvitation } from './invitations.js';
import { pathOf } from './problem.filter.js';
import { Reads } from './reads.js';
import {
  consistencyQuerySchema,
  listQuerySchema,
  noQuerySchema,
  resolveSchema,
  TRANSACTION_STATUSES,
  waitQuerySchema,
} from './schemas.js';
import {
  parseBegin,
  parseBody,
  parseBranch,
  parseCommit,
  parseEnd,
  parseExecute,
  parseIdempotency,
  parseQuery,
  parseTransactionId,
} from './validation.js';

type RequestWithId = FastifyRequest<{ Params: { id: string } }>;

/**
 * Transactions over REST: parses a request, calls the manager, writes the answer. It uses Fastify's reply directly,
 * because each further layer costs time in every transfer.
 */
@Controller('v1/transactions')
export class TransactionsController {
  private readonly joining: Joining;

  constructor(
    @Inject(TRANSACTIONS) private readonly transactions: TransactionsApi,
    @Inject(Reads) private readonly reads: Reads,
    @Inject(CONFIG) private readonly config: Pick<Config, 'maximumBranches' | 'auth'>,
  ) {
    this.joining = config.auth?.invitations ?? 'off';
  }

  @Post()
  @Call({
    id: 'beginTransaction',
    summary: 'Begins a transaction',
    body: 'Begin',
    idempotent: true,
    invited: true,
    answers: { 201: 'BegunTransaction' },
    problems: [400, 404, 409, 410, 413, 415, 422, 503],
  })
  async begin(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    parseQuery(noQuerySchema, request.query);
    const begin = parseBegin(request.body);
    const owner = ownerOf(request);
    const idempotency = parseIdempotency(request.headers, 'begin', request.body, owner);
    const traceparent = traceparentOf(request.headers['traceparent']);
    const invitation = parseInvitation(request.headers);
    const traced = {
      ...begin,
      owner,
      idempotency,
      ...(invitation !== undefined && { invitation }),
      ...(traceparent && { traceparent }),
    };
    const transaction = await this.transactions.begin(traced, commitAccessOf(request));
    void reply.header('location', transactionPath(transaction));
    sendJson(reply, 201, transaction);
  }

  @Post('execute')
  @Call({
    id: 'executeTransaction',
    summary: 'Begins, prepares and commits a transaction in one call',
    body: 'Execute',
    idempotent: true,
    wait: true,
    answers: { 200: 'Transaction', 202: 'Transaction' },
    problems: [400, 409, 413, 415, 422, 503],
  })
  async execute(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const options = parseQuery(waitQuerySchema, request.query);
    const execute = parseExecute(request.body, this.config.maximumBranches);
    const owner = ownerOf(request);
    const idempotency = parseIdempotency(request.headers, 'execute', request.body, owner);
    const traceparent = traceparentOf(request.headers['traceparent']);
    const traced = { ...execute, owner, idempotency, ...(traceparent && { traceparent }) };
    const settlement = await this.transactions.execute(traced, options);
    sendSettlement(reply, 'committed', settlement, pathOf(request.url));
  }

  @Post(':id/branches')
  @Call({
    id: 'enlistBranch',
    withId: true,
    summary: 'Adds work to a transaction',
    body: ['WorkBranch', 'PreparedBranch', 'HeldBranch'],
    idempotent: true,
    invited: true,
    answers: { 200: 'Branch', 201: 'Branch' },
    problems: [400, 404, 409, 410, 413, 415, 422, 503],
  })
  async enlist(@Req() request: RequestWithId, @Res() reply: FastifyReply): Promise<void> {
    const id = parseTransactionId(request.params.id);
    parseQuery(noQuerySchema, request.query);
    const branchRequest = parseBranch(request.body);
    const access = enlistAccessOf(request, branchRequest, this.joining);
    const idempotency = parseIdempotency(request.headers, 'enlist', request.body, ownerOf(request), id);
    const { created, branch } = await this.transactions.enlist(id, branchRequest, idempotency, access);
    sendJson(reply, created ? 201 : 200, branch);
  }

  @Post(':id/commit')
  @Call({
    id: 'commitTransaction',
    withId: true,
    summary: 'Commits a transaction',
    body: 'Commit',
    hasOptionalBody: true,
    wait: true,
    answers: { 200: 'Transaction', 202: 'Transaction' },
    problems: [400, 404, 409, 410, 413, 415, 503],
  })
  async commit(@Req() request: RequestWithId, @Res() reply: FastifyReply): Promise<void> {
    const id = parseTransactionId(request.params.id);
    const { branches, begin } = parseCommit(request.body);
    for (const branch of branches) enlistAccessOf(request, branch, this.joining);
    const traceparent = traceparentOf(request.headers['traceparent']);
    const options = {
      ...parseQuery(waitQuerySchema, request.query),
      branches,
      access: commitAccessOf(request),
      ...(begin && { begin: { ...begin, owner: ownerOf(request), ...(traceparent && { traceparent }) } }),
    };
    sendSettlement(reply, 'committed', await this.transactions.commit(id, options), pathOf(request.url));
  }

  @Post(':id/abort')
  @Call({
    id: 'abortTransaction',
    withId: true,
    summary: 'Aborts a transaction',
    body: 'End',
    invited: true,
    hasOptionalBody: true,
    wait: true,
    answers: { 200: 'Transaction', 202: 'Transaction' },
    problems: [400, 404, 409, 410, 413, 415, 503],
  })
  async abort(@Req() request: RequestWithId, @Res() reply: FastifyReply): Promise<void> {
    const id = parseTransactionId(request.params.id);
    const { branches } = parseEnd(request.body);
    for (const branch of branches) enlistAccessOf(request, branch, this.joining);
    const options = {
      ...parseQuery(waitQuerySchema, request.query),
      branches,
      access: abortAccessOf(request, branches, this.joining),
    };
    sendSettlement(reply, 'aborted', await this.transactions.abort(id, options), pathOf(request.url));
  }

  @Post(':id/resolve')
  @Call({
    id: 'resolveTransaction',
    withId: true,
    summary: 'Rules on a transaction that cannot end by itself',
    tag: 'operations',
    body: 'Resolve',
    idempotent: true,
    answers: { 200: 'Resolution' },
    problems: [400, 404, 409, 410, 413, 415, 422, 503],
  })
  async resolve(@Req() request: RequestWithId, @Res() reply: FastifyReply): Promise<void> {
    const id = parseTransactionId(request.params.id);
    parseQuery(noQuerySchema, request.query);
    const ruling = parseBody(resolveSchema, request.body);
    // who rules is who has shown who it is; a name in the body counts only where nobody is asked
    const operator = ownerOf(request) ?? ruling.operator;
    const idempotency = parseIdempotency(request.headers, 'resolve', request.body, ownerOf(request), id);
    sendJson(reply, 200, await this.transactions.resolve(id, { ...ruling, operator, idempotency }));
  }

  @Get(':id')
  @Call({
    id: 'getTransaction',
    withId: true,
    summary: 'Shows a transaction',
    reading: true,
    answers: { 200: 'Transaction' },
    problems: [400, 404, 410, 503],
  })
  async get(@Req() request: RequestWithId, @Res() reply: FastifyReply): Promise<void> {
    const id = parseTransactionId(request.params.id);
    const { consistency } = parseQuery(consistencyQuerySchema, request.query);
    const access = readAccessOf(request);
    await this.reads.answer(request, reply, () => this.transactions.get(id, consistency, access));
  }

  @Get()
  @Call({
    id: 'listTransactions',
    summary: 'Lists transactions, newest first',
    reading: true,
    query: [
      { name: 'status', schema: { type: 'string', enum: [...TRANSACTION_STATUSES] } },
      { name: 'participant', schema: { type: 'string' } },
      { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: 500, default: 50 } },
      { name: 'cursor', schema: { type: 'string' } },
    ],
    answers: { 200: 'TransactionPage' },
    problems: [400, 503],
  })
  async list(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const { consistency, limit, cursor, ...filters } = parseQuery(listQuerySchema, request.query);
    const identity = { list: 'transactions', filters } as const;
    const after = cursor === undefined ? {} : { cursor: parseCursor(identity, cursor) };
    const query = { ...filters, limit, ...after, access: readAccessOf(request) };
    await this.reads.answer(request, reply, async () => {
      const { value, ...reading } = await this.transactions.list(query, consistency);
      const nextCursor = value.nextCursor === null ? null : formatCursor(identity, value.nextCursor);
      return { ...reading, value: { ...value, nextCursor } };
    });
  }
}
