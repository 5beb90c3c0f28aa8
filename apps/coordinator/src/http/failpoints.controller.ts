import { Controller, Get, Inject, Put, Req, Res } from '@nestjs/common';
import { ArmableFailpoints } from '@concordat/foundation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { sendJson } from './answers.js';
import { Call } from './call.decorator.js';
import { failpointsSchema } from './schemas.js';
import { parseBody } from './validation.js';

/** Arms failpoints in this process. Exists only when `CONCORDAT_FAILPOINTS` is not `off`. */
@Controller('debug/failpoints')
export class FailpointsController {
  constructor(@Inject(ArmableFailpoints) private readonly failpoints: ArmableFailpoints) {}

  @Get()
  @Call({ id: 'getFailpoints', summary: 'Lists failpoints', tag: 'debug', answers: { 200: 'Failpoints' } })
  list(@Res() reply: FastifyReply): void {
    this.answer(reply);
  }

  @Put()
  @Call({
    id: 'armFailpoints',
    summary: 'Replaces the armed failpoints of this process; an empty text disarms all',
    tag: 'debug',
    body: 'ArmFailpoints',
    answers: { 200: 'Failpoints' },
    problems: [400, 415],
  })
  arm(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    this.failpoints.arm(parseBody(failpointsSchema, request.body).arm);
    this.answer(reply);
  }

  private answer(reply: FastifyReply): void {
    sendJson(reply, 200, { armed: this.failpoints.list(), known: this.failpoints.known });
  }
}
