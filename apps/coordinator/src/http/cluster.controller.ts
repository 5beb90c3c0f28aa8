import { Controller, Delete, Get, Inject, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CLUSTER, type ClusterApi } from '../cluster/cluster.api.js';
import { TRANSACTIONS, type TransactionsApi } from '../transactions/transactions.api.js';
import { sendJson } from './answers.js';
import { formatCursor, parseCursor, type ListIdentity } from './cursor.js';
import { Call } from './call.decorator.js';
import { Reads } from './reads.js';
import {
  DEFAULT_WAIT_MS,
  emptyBodySchema,
  inDoubtQuerySchema,
  leaderSchema,
  MAXIMUM_WAIT_MS,
  memberQuerySchema,
  noQuerySchema,
} from './schemas.js';
import { parseBody, parseMember, parseNodeId, parseQuery } from './validation.js';

const IN_DOUBT: ListIdentity = { list: 'in-doubt' };

/** The operator's calls: the group, and the branches in doubt. */
@Controller('v1')
export class ClusterController {
  constructor(
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(TRANSACTIONS) private readonly transactions: TransactionsApi,
    @Inject(Reads) private readonly reads: Reads,
  ) {}

  @Get('cluster')
  @Call({
    id: 'getCluster',
    summary: 'Shows the group as this node sees it',
    tag: 'cluster',
    answers: { 200: 'Cluster' },
    problems: [400],
  })
  async view(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    parseQuery(noQuerySchema, request.query);
    sendJson(reply, 200, await this.cluster.currentView());
  }

  @Post('cluster/members')
  @Call({
    id: 'setMember',
    summary: 'Adds a node to the group, changes the role of a member, or replaces a member',
    tag: 'cluster',
    body: 'SetMember',
    query: [
      {
        name: 'waitMs',
        schema: { type: 'integer', minimum: 0, maximum: MAXIMUM_WAIT_MS, default: DEFAULT_WAIT_MS },
      },
    ],
    answers: { 200: 'Cluster', 201: 'Cluster' },
    problems: [400, 404, 409, 413, 415, 503],
  })
  async setMember(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const { waitMs } = parseQuery(memberQuerySchema, request.query);
    const { added, view } = await this.cluster.setMember(
      parseMember(request.body, request.protocol === 'https'),
      waitMs,
    );
    sendJson(reply, added ? 201 : 200, view);
  }

  @Delete('cluster/members/:nodeId')
  @Call({
    id: 'removeMember',
    withNodeId: true,
    summary: 'Removes a node from the group',
    tag: 'cluster',
    answers: { 200: 'Cluster' },
    problems: [400, 404, 409, 413, 415, 503],
  })
  async removeMember(
    @Req() request: FastifyRequest<{ Params: { nodeId: string } }>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const nodeId = parseNodeId(request.params.nodeId);
    parseQuery(noQuerySchema, request.query);
    parseBody(emptyBodySchema, request.body ?? {});
    sendJson(reply, 200, await this.cluster.removeMember(nodeId));
  }

  @Post('cluster/leader')
  @Call({
    id: 'setLeader',
    summary: 'Transfers the leadership to a voter',
    tag: 'cluster',
    body: 'SetLeader',
    answers: { 200: 'Cluster' },
    problems: [400, 409, 413, 415, 503],
  })
  async setLeader(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    parseQuery(noQuerySchema, request.query);
    const { nodeId } = parseBody(leaderSchema, request.body);
    sendJson(reply, 200, await this.cluster.transferLeadership(nodeId));
  }

  @Get('in-doubt')
  @Call({
    id: 'listInDoubt',
    summary: 'Lists branches in doubt, and hazards',
    tag: 'operations',
    reading: true,
    query: [
      { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: 500, default: 500 } },
      { name: 'cursor', schema: { type: 'string' } },
    ],
    answers: { 200: 'InDoubtList' },
    problems: [400, 503],
  })
  async inDoubt(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const { consistency, cursor, ...query } = parseQuery(inDoubtQuerySchema, request.query);
    const after = cursor === undefined ? {} : { cursor: parseCursor(IN_DOUBT, cursor) };
    await this.reads.answer(request, reply, async () => {
      const { nextCursor, ...reading } = await this.transactions.inDoubt(consistency, { ...query, ...after });
      const next = nextCursor === null ? null : formatCursor(IN_DOUBT, nextCursor);
      return { ...reading, value: { items: reading.value, nextCursor: next } };
    });
  }
}
