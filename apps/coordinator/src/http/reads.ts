import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Reading } from '../transactions/transactions.api.js';
import { sendReading } from './answers.js';
import { ForwardToLeader } from './forward-to-leader.js';

/** Answers reads on any node: from its own state, or from the leader where only the leader has the answer. */
@Injectable()
export class Reads {
  constructor(@Inject(ForwardToLeader) private readonly leader: ForwardToLeader) {}

  /**
   * @param read called again when this node has become the leader in the meantime
   * @throws whatever `read` throws, and RequestRefusedError `NO_LEADER`
   */
  async answer(request: FastifyRequest, reply: FastifyReply, read: () => Promise<Reading<unknown>>): Promise<void> {
    const reading = await read();
    if (!reading.leaderKnowsMore) sendReading(reply, reading);
    else if (!(await this.leader.passOn(request, reply))) sendReading(reply, await read());
  }
}
