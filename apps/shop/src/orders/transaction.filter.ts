import { Catch, HttpException, HttpStatus, Logger, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { GlobalTransactionAbortedError, NotBegunError } from '@concordat/nestjs';

/** Nothing has happened, and the customer is told whether it is worth to try again. */
@Catch(GlobalTransactionAbortedError, NotBegunError)
export class TransactionFilter extends BaseExceptionFilter {
  private readonly logger = new Logger(TransactionFilter.name);

  override catch(error: GlobalTransactionAbortedError | NotBegunError, host: ArgumentsHost): void {
    this.logger.warn(error.message);
    const statusCode = error.retryable ? HttpStatus.SERVICE_UNAVAILABLE : HttpStatus.CONFLICT;
    const message = error.retryable ? 'nothing was ordered; try again' : 'nothing was ordered';
    super.catch(new HttpException({ statusCode, code: error.code, message }, statusCode), host);
  }
}
