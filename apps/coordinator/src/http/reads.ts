import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Reading } from '../transactions/transactions.api.js';
import { sendReading } from './answers.js';
import { ForwardToLeader } from './forward-to-leader.js';

/** Answers questions on any node: from its own state, or by asking the leader where only that knows all. */
@Injectable()
export class Reads {
  constructor(@Inject(ForwardToLeader) private readonly leader: ForwardToLeader) {}

  /**
   * @param read asked once more when this node has become the leader meanwhile
   * @throws whatever `read` throws, and RequestRefusedError `NO_LEADER`
   */
  async answer(request: FastifyRequest, reply: FastifyReply, read: () => Promise<Reading<unknown>>): Promise<void> {
    const reading = await read();
    if (!reading.leaderKnowsMore) sendReading(reply, reading);
    else if (!(await this.leader.passOn(request, reply))) sendReading(reply, await read());
  }
}
