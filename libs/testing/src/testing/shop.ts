import type { JsonValue } from '@concordat/foundation';
import {
  BranchRefusedError,
  startTestCoordinator,
  startTestParticipant,
  type MemoryContext,
  type TestCoordinator,
  type TestCoordinatorOptions,
  type TestParticipant,
} from '../index.js';

/** What a client is told. */
export interface Answer {
  readonly status: number;
  readonly body: {
    readonly id?: string;
    readonly code?: string;
    readonly reason?: string;
    readonly outcome?: string;
    readonly participant?: string;
    readonly participantCode?: string;
    readonly transactionId?: string;
    readonly detail?: string;
  };
}

/** A coordinator with two stand-ins, orders and inventory, and what a client asks of them. */
export class Shop implements AsyncDisposable {
  /** calls of handlers, as `participant.operation` */
  readonly calls: string[] = [];

  private constructor(
    readonly coordinator: TestCoordinator,
    readonly participants: Readonly<Record<'orders' | 'inventory', TestParticipant>>,
    calls: string[],
  ) {
    this.calls = calls;
  }

  static async open(options: TestCoordinatorOptions = {}): Promise<Shop> {
    const coordinator = await startTestCoordinator(options);
    const calls: string[] = [];
    const limits = { sweepIntervalMs: 50, inquiryAfterMs: 100 };
    const orders = await startTestParticipant({
      coordinator,
      participant: 'orders',
      limits,
      operations: {
        create: async (payload, data) => {
          calls.push('orders.create');
          await data.set(field(payload, 'order'), payload);
        },
      },
    });
    const inventory = await startTestParticipant({
      coordinator,
      participant: 'inventory',
      limits,
      data: { screws: 1_000 },
      operations: {
        reserve: async (payload, data) => {
          calls.push('inventory.reserve');
          return reserve(data, field(payload, 'item'), (payload as { count: number }).count);
        },
      },
    });
    await coordinator.participantsReady(['orders', 'inventory']);
    return new Shop(coordinator, { orders, inventory }, calls);
  }

  /** One order: two branches, in one call. */
  order(order: string, count = 3, body: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    return this.post('/v1/transactions/execute?wait=ended', {
      timeoutMs: 20_000,
      branches: [
        { participant: 'orders', operation: 'create', payload: { order } },
        { participant: 'inventory', operation: 'reserve', payload: { item: 'screws', count } },
      ],
      ...body,
    });
  }

  async post(path: string, body: object = {}): Promise<Answer> {
    const answer = await fetch(`${this.coordinator.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Answer['body'] };
  }

  get stock(): JsonValue | undefined {
    return this.participants.inventory.get('screws');
  }

  get orders(): string[] {
    return Object.keys(this.participants.orders.data());
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.participants).map((participant) => participant.stop()));
    await this.coordinator.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function reserve(data: MemoryContext, item: string, count: number): Promise<JsonValue> {
  const stock = ((await data.get(item)) ?? 0) as number;
  if (stock < count)
    throw new BranchRefusedError('OUT_OF_STOCK', `there are ${stock} ${item}, which is less than ${count}`);
  await data.set(item, stock - count);
  return { left: stock - count };
}

function field(payload: JsonValue, name: string): string {
  return String((payload as Record<string, JsonValue>)[name]);
}
