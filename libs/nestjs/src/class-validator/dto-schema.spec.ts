import { Injectable, Module, ValidationPipe, UsePipes } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Payload } from '@nestjs/microservices';
import { describe, expect, it } from '@jest/globals';
import { Type } from 'class-transformer';
import { IsInt, IsPositive, IsString, ValidateNested } from 'class-validator';
import { defineParticipant, operation } from '@concordat/client';
import type { PostgresContext } from '@concordat/participant';
import { ConcordatParticipantModule } from '../concordat-participant.module.js';
import { ConcordatTransport } from '../concordat-transport.js';
import { TransactionOperation } from '../transaction-operation.decorator.js';
import { dtoSchema } from './dto-schema.js';

class Place {
  @IsString()
  readonly account: string;
}

class DebitDto {
  @ValidateNested()
  @Type(() => Place)
  readonly from: Place;

  @IsInt()
  @IsPositive()
  readonly amount: number;

  doubled(): number {
    return this.amount * 2;
  }
}

const bank = defineParticipant('bank', {
  debit: operation({ payload: dtoSchema(DebitDto) }),
});

@Injectable()
class Accounts {
  @TransactionOperation(bank.debit)
  debit(dto: DebitDto): (boolean | number)[] {
    return [dto instanceof DebitDto, dto.from instanceof Place, dto.doubled()];
  }

  /** As in a service that has pipes already. */
  @TransactionOperation('piped')
  @UsePipes(new ValidationPipe({ transform: true }))
  piped(@Payload() dto: DebitDto): unknown {
    return dto.doubled();
  }
}

@Module({ imports: [ConcordatParticipantModule.forTesting()], providers: [Accounts] })
class RootModule {}

async function handler(): Promise<(name: string, payload: unknown) => Promise<unknown>> {
  const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
  const transport = app.get(ConcordatTransport);
  transport.serve();
  return (name, payload) =>
    transport.handle({ operation: name, payload: payload as never, keys: [] }, {} as PostgresContext);
}

describe('a DTO of class-validator as the schema of an operation', () => {
  it('gives the handler an instance, and the client its types', async () => {
    const handle = await handler();
    const { payload } = bank.debit({ from: { account: 'acc-1' }, amount: 5 });
    expect(await handle('debit', payload)).toEqual([true, true, 10]);
    // @ts-expect-error an amount is a number
    expect(bank.debit({ from: { account: 'acc-1' }, amount: '5' })).toBeDefined();
  });

  it.each([
    [{ from: { account: 7 }, amount: 5 }, 'from.account: account must be a string'],
    [{ from: { account: 'a' }, amount: -5 }, 'amount: amount must be a positive number'],
    [{ from: { account: 'a' }, amount: 5, color: 'red' }, 'color: property color should not exist'],
    ['text', 'must be an object with the properties of DebitDto'],
    [null, 'must be an object'],
    [[], 'must be an object'],
  ])('refuses %j', async (payload, sentence) => {
    const handle = await handler();
    await expect(handle('debit', payload)).rejects.toMatchObject({
      code: 'INVALID_PAYLOAD',
      message: expect.stringContaining(sentence),
    });
  });

  it('goes through the pipes of a handler, too', async () => {
    const handle = await handler();
    expect(await handle('piped', { from: { account: 'a' }, amount: 5 })).toBe(10);
    await expect(handle('piped', { from: { account: 'a' }, amount: -5 })).rejects.toThrow();
  });
});
