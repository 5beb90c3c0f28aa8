import { Controller, Injectable, Post } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ConcordatClient } from '@concordat/client';

import { BranchRefusedError, GlobalTransactions } from '@concordat/participant';
import {
  startTestCoordinator,
  startTestParticipant,
  type TestCoordinator,
  type TestParticipant,
} from '@concordat/testing';
import { GlobalTransaction, JoinGlobalTransaction } from '../global/decorators.js';
import { RecordedSpans } from '../../../../test/support/recorded-spans.js';
import { NestServices, type RunningService } from '../global/testing/services.js';
import { openTelemetry } from './index.js';

const spans = RecordedSpans.register();
const tracing = openTelemetry();

afterEach(() => spans.reset());
afterAll(() => spans.unregister());

@Controller()
class Inventory {
  constructor(private readonly transactions: GlobalTransactions) {}

  @JoinGlobalTransaction('MANDATORY')
  @Post('reserve')
  async reserve(): Promise<void> {
    await this.transactions.currentClient()?.query('add reservation');
  }

  @JoinGlobalTransaction('MANDATORY')
  @Post('look')
  look(): string {
    return 'there';
  }
}
Reflect.defineMetadata('design:paramtypes', [GlobalTransactions], Inventory);

@Injectable()
class Checkout {
  constructor(private readonly transactions: GlobalTransactions) {}

  @GlobalTransaction({ protocol: '3pc' })
  async call(url: string, error?: Error): Promise<string | undefined> {
    const { status } = await fetch(url, { method: 'POST' });
    if (status >= 400) throw new Error(`status ${status}`);
    if (error) throw error;
    return this.transactions.current()?.id;
  }
}
Reflect.defineMetadata('design:paramtypes', [GlobalTransactions], Checkout);

describe('a global transaction over two services', () => {
  const services = new NestServices();
  let inventory: RunningService;
  let checkout: Checkout;

  beforeAll(async () => {
    inventory = await services.start('inventory', { controllers: [Inventory], options: { tracing } });
    const options = { tracing, propagateTo: [inventory.host] };
    checkout = (await services.start('orders', { providers: [Checkout], options })).app.get(Checkout);
  });
  afterAll(() => services.stop());

  it('is one trace: the transaction, and the call that joined it with its branch', async () => {
    const id = await checkout.call(`${inventory.url}/reserve`);
    expect(spans.tree).toEqual(['concordat transaction', 'concordat transaction > concordat join']);
    expect(spans.named('concordat transaction')[0]!.attributes).toEqual({
      'concordat.transaction.id': id,
      'concordat.protocol': '3pc',
      'concordat.participant': 'orders',
      'concordat.outcome': 'committed',
    });
    const [session] = inventory.database.sessions;
    expect(spans.named('concordat join')[0]!.attributes).toEqual({
      'concordat.transaction.id': id,
      'concordat.participant': 'inventory',
      'concordat.branch.id': session!.branchId,
    });
  });

  it('says that it aborted, and why', async () => {
    const error = new Error('no funds');
    await expect(checkout.call(`${inventory.url}/reserve`, error)).rejects.toBe(error);
    const [transaction] = spans.named('concordat transaction');
    expect([transaction!.attributes['concordat.outcome'], transaction!.status.message]).toEqual([
      'aborted',
      'no funds',
    ]);
  });
});

describe('a coordinator', () => {
  const services = new NestServices();
  let coordinator: TestCoordinator;
  let bank: TestParticipant;

  beforeAll(async () => {
    coordinator = await startTestCoordinator({ tracing });
    bank = await startTestParticipant({
      coordinator,
      participant: 'bank',
      tracing,
      operations: {
        debit: async () => 'done',
        refuse: async () => {
          throw new BranchRefusedError('NO_FUNDS', 'there are no funds');
        },
      },
    });
    await coordinator.participantsReady(['bank']);
  });
  afterAll(async () => {
    await services.stop();
    await bank.stop();
    await coordinator.stop();
  });

  it('is in the trace of the two services that it coordinates', async () => {
    const options = { tracing, coordinators: [coordinator.url], coordinatorsPort: undefined };
    const inventory = await services.start('inventory', { controllers: [Inventory], options });
    const propagating = { ...options, propagateTo: [inventory.host] };
    const orders = await services.start('orders', { providers: [Checkout], options: propagating });
    const id = await orders.app.get(Checkout).call(`${inventory.url}/look`);
    expect(spans.tree).toEqual([
      'concordat transaction',
      'concordat transaction > concordat coordinate',
      'concordat transaction > concordat join',
    ]);
    expect(spans.traceIds).toHaveLength(1);
    expect(spans.named('concordat coordinate')[0]!.attributes).toMatchObject({
      'concordat.transaction.id': id,
      'concordat.protocol': '3pc',
      'concordat.outcome': 'committed',
    });
  });

  const client = (): ConcordatClient =>
    new ConcordatClient({ coordinators: [coordinator.url], headers: () => ({ traceparent: tracing.traceparent() }) });
  const execute = (operation: string): Promise<unknown> =>
    tracing.span({ name: 'client', attributes: {} }, () =>
      client().execute([{ participant: 'bank', operation, payload: null }], {}, { wait: 'ended' }),
    );

  it('hands the trace on to the handlers of operations, also to one that refuses', async () => {
    await execute('debit');
    await expect(execute('refuse')).rejects.toMatchObject({ code: 'TRANSACTION_ABORTED' });
    expect(spans.tree).toEqual([
      'client',
      'client',
      'client > concordat coordinate',
      'client > concordat coordinate',
      'client > concordat debit',
      'client > concordat refuse',
    ]);
    const [refused] = spans.named('concordat refuse');
    expect(refused!.attributes).toMatchObject({
      'concordat.participant': 'bank',
      'concordat.operation': 'refuse',
      'concordat.branch.id': expect.any(String),
    });
    expect(refused!.status.message).toBe('there are no funds');
    expect(spans.named('concordat coordinate')[1]!.attributes).toMatchObject({
      'concordat.outcome': 'aborted',
      'concordat.abort.reason': 'PARTICIPANT_REFUSED',
    });
  });

  it('makes no span for a client without a trace, and ignores one that is none', async () => {
    const plain = new ConcordatClient({ coordinators: [coordinator.url], headers: { traceparent: 'nonsense' } });
    await plain.execute([{ participant: 'bank', operation: 'debit', payload: null }], {}, { wait: 'ended' });
    expect(spans.tree).toEqual(['concordat debit']);
  });
});
