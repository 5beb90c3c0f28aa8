import { type ArgumentsHost, Catch, type ExceptionFilter, Inject } from '@nestjs/common';
import { errorMessage, type Logger } from '@concordat/foundation';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AuditLog } from '../auth/audit-log.js';
import { LOGGER } from '../logging.js';
import { sendProblem } from './answers.js';
import { callerOf } from './audit-entries.js';
import { problemOf } from './problems.js';

/**
 * Turns everything a route throws into `application/problem+json`. Unexpected errors are logged and not shown; what the
 * sender may not do is audited.
 */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(AuditLog) private readonly audit: AuditLog,
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const problem = problemOf(error, pathOf(request.url));
    if (problem.code === 'INTERNAL') this.logger.error(`${request.method} ${problem.instance} failed`, error);
    if (problem.code === 'FORBIDDEN') this.audit.refusedCall({ ...callerOf(request), note: errorMessage(error) });
    if (reply.sent) return;
    sendProblem(reply, problem);
  }
}

export function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}
