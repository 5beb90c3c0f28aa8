import { Controller, Get, Module, Param, UseFilters } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { expect, it } from '@jest/globals';
import { GlobalTransactionAbortedError, NotBegunError } from '@concordat/nestjs';
import { TransactionFilter } from './transaction.filter.js';

const aborted = (reason: string): Error => new GlobalTransactionAbortedError('the-transaction', { reason });
const ERRORS: Readonly<Record<string, Error>> = {
  down: new NotBegunError('http://10.0.0.1:8081 could not be reached'),
  locked: aborted('LOCK_TIMEOUT'),
  late: aborted('DEADLINE_EXCEEDED'),
};

@Controller()
@UseFilters(TransactionFilter)
class CheckoutController {
  @Get(':error')
  fail(@Param('error') name: string): never {
    throw ERRORS[name]!;
  }
}

@Module({ controllers: [CheckoutController] })
class CheckoutModule {}

it.each([
  ['down', 503, 'NOT_BEGUN', 'nothing was ordered; try again'],
  ['locked', 503, 'TRANSACTION_ABORTED', 'nothing was ordered; try again'],
  ['late', 409, 'TRANSACTION_ABORTED', 'nothing was ordered'],
])('answers a checkout that is %s with %i, and logs the sentence', async (name, statusCode, code, message) => {
  const logged: unknown[] = [];
  const log = (line: unknown): void => void logged.push(line);
  const logger = { log: () => undefined, warn: log, error: log };
  const app = await NestFactory.create<NestFastifyApplication>(CheckoutModule, new FastifyAdapter(), { logger });
  try {
    await app.init();
    const answer = await app.inject({ method: 'GET', url: `/${name}` });
    expect([answer.statusCode, answer.json()]).toEqual([statusCode, { statusCode, code, message }]);
    expect(logged).toEqual([ERRORS[name]!.message]);
  } finally {
    await app.close();
  }
});
