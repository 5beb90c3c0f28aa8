import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CLUSTER, TRANSACTIONS, type ClusterApi, type TransactionsApi } from '../transactions/transactions.api.js';
import { sendJson } from './answers.js';
import { Call } from './openapi.decorators.js';
import { noQuerySchema } from './schemas.js';
import { parseQuery } from './validation.js';

/** What an operator looks at: the group, and the branches that wait for an end. */
@Controller('v1')
export class ClusterController {
  constructor(
    @Inject(CLUSTER) private readonly cluster: ClusterApi,
    @Inject(TRANSACTIONS) private readonly transactions: TransactionsApi,
  ) {}

  @Get('cluster')
  @Call({
    id: 'getCluster',
    summary: 'Shows the group as this node sees it',
    tag: 'cluster',
    answers: { 200: 'Cluster' },
    problems: [400],
  })
  view(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    parseQuery(noQuerySchema, request.query);
    sendJson(reply, 200, this.cluster.view());
  }

  @Get('in-doubt')
  @Call({
    id: 'listInDoubt',
    summary: 'Lists branches that voted yes and wait too long for their end, and hazards',
    tag: 'operations',
    answers: { 200: 'InDoubtList' },
    problems: [400, 503],
  })
  async inDoubt(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    parseQuery(noQuerySchema, request.query);
    sendJson(reply, 200, { items: await this.transactions.inDoubt() });
  }
}
