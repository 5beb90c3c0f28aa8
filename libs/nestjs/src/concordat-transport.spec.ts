import { Controller, Injectable, Module, Scope, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { describe, expect, it } from '@jest/globals';
import type { PostgresContext } from '@concordat/participant';
import { ConcordatParticipantModule } from './concordat-participant.module.js';
import { ConcordatTransport } from './concordat-transport.js';
import { TransactionOperation } from './transaction-operation.decorator.js';

const CONTEXT = {} as PostgresContext;

/** A controller that also has handlers of other transports. */
@Controller()
class Payments {
  private readonly currency = 'EUR';

  @TransactionOperation('charge')
  async charge(amount: unknown, context: PostgresContext): Promise<unknown> {
    return [amount, this.currency, context];
  }

  @MessagePattern('payments.refund')
  refund(@Payload() amount: unknown): unknown {
    return amount;
  }

  @EventPattern('orders.placed')
  placed(@Payload() order: unknown): unknown {
    return order;
  }

  @EventPattern('orders.placed')
  placedToo(@Payload() order: unknown): unknown {
    return order;
  }
}

@Injectable({ scope: Scope.REQUEST })
class OfARequest {
  @TransactionOperation('charge')
  async charge(): Promise<void> {}
}

@Injectable()
class Fees {
  @TransactionOperation('fee')
  async fee(): Promise<number> {
    return 1;
  }
}

async function application(types: Partial<Record<'controllers' | 'providers', Type[]>>): Promise<{
  readonly app: NestFastifyApplication;
  readonly strategy: ConcordatTransport;
}> {
  @Module({ imports: [ConcordatParticipantModule.forTesting()], ...types })
  class RootModule {}

  const app = await NestFactory.create<NestFastifyApplication>(RootModule, new FastifyAdapter(), { logger: false });
  return { app, strategy: app.get(ConcordatTransport) };
}

const charge = (strategy: ConcordatTransport): Promise<unknown> =>
  strategy.handle({ operation: 'charge', payload: 7, keys: [] }, CONTEXT);

describe('ConcordatTransport', () => {
  it('is connected as any transport of Nest, and offers operations alone', async () => {
    const { app, strategy } = await application({ controllers: [Payments], providers: [Fees] });
    const statuses: string[] = [];
    strategy.status.subscribe((status) => statuses.push(status));
    app.connectMicroservice({ strategy }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    expect(strategy.operations()).toEqual(['charge', 'fee']);
    expect(await charge(strategy)).toEqual([7, 'EUR', CONTEXT]);
    await app.close();
    expect(statuses).toEqual(['connected', 'disconnected']);
  });

  it('serves the operations of controllers without being connected, and also when it is connected late', async () => {
    const { app, strategy } = await application({ controllers: [Payments] });
    strategy.serve();
    expect(strategy.operations()).toEqual(['charge']);
    expect(await charge(strategy)).toEqual([7, 'EUR', CONTEXT]);
    app.connectMicroservice({ strategy });
    await app.startAllMicroservices();
    expect(await charge(strategy)).toEqual([7, 'EUR', CONTEXT]);
    await app.close();
  });

  it('refuses an operation of a provider that exists only in a request, and says what to do', async () => {
    const { app, strategy } = await application({ providers: [OfARequest] });
    expect(() => strategy.serve()).toThrow(
      'OfARequest.charge is the handler of an operation, and Nest makes OfARequest anew for each request',
    );
    await app.close();
  });

  it('leaves a controller of request scope to Nest', async () => {
    @Controller({ path: '', scope: Scope.REQUEST })
    class PaymentsOfARequest extends Payments {}

    const { app, strategy } = await application({ controllers: [PaymentsOfARequest] });
    app.connectMicroservice({ strategy });
    await app.startAllMicroservices();
    expect(await charge(strategy)).toEqual([7, 'EUR', CONTEXT]);
    await app.close();
  });

  it('refuses two handlers of one operation', async () => {
    @Injectable()
    class OtherFees {
      @TransactionOperation('fee')
      async fee(): Promise<number> {
        return 2;
      }
    }
    const { app, strategy } = await application({ providers: [Fees, OtherFees] });
    expect(() => strategy.serve()).toThrow('there are two handlers of the operation "fee"');
    await app.close();
  });
});
