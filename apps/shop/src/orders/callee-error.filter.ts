import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { AxiosError } from 'axios';
import type { FastifyReply } from 'fastify';

const BAD_GATEWAY = 502;

interface Problem {
  readonly statusCode: number;
  readonly message: string;
}

/** A refusal of another service is the answer to the customer; its silence is a bad gateway. */
@Catch(AxiosError)
export class CalleeErrorFilter implements ExceptionFilter<AxiosError> {
  catch(error: AxiosError, host: ArgumentsHost): void {
    const problem = this.problemOf(error);
    void host.switchToHttp().getResponse<FastifyReply>().status(problem.statusCode).send(problem);
  }

  private problemOf({ response, message }: AxiosError): Problem {
    const told = response?.data as Partial<Problem> | undefined;
    if (response === undefined || typeof told?.message !== 'string') return { statusCode: BAD_GATEWAY, message };
    return { statusCode: response.status, message: told.message };
  }
}
