import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { errorMessage } from '@concordat/foundation';
import type { FastifyReply } from 'fastify';

/** Answers every error as RFC 9457 problem details; an internal error is shown as an unavailable database. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const status = error instanceof HttpException ? error.getStatus() : 503;
    const [code, detail] =
      error instanceof HttpException
        ? [(error.cause as string | undefined) ?? 'REQUEST_REFUSED', errorMessage(error)]
        : ['DATABASE_UNAVAILABLE', 'the database cannot be read at the moment; try again'];
    void reply
      .status(status)
      .header('content-type', 'application/problem+json; charset=utf-8')
      .send({ type: 'about:blank', title: code, status, code, detail });
  }
}
