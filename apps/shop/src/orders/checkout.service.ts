import { Inject, Injectable } from '@nestjs/common';
import { GlobalTransaction } from '@concordat/nestjs';
import type { Cart } from '../cart.js';
import { InventoryClient } from './inventory.client.js';
import type { Order } from './order.entity.js';
import { OrdersService } from './orders.service.js';
import { PaymentsClient } from './payments.client.js';

/** Three services and three databases, and all of it or nothing. */
@Injectable()
export class CheckoutService {
  constructor(
    @Inject(OrdersService) private readonly orders: OrdersService,
    @Inject(InventoryClient) private readonly inventory: InventoryClient,
    @Inject(PaymentsClient) private readonly payments: PaymentsClient,
  ) {}

  @GlobalTransaction({ timeoutMs: 10_000 })
  async checkout(cart: Cart): Promise<Order> {
    const order = await this.orders.place(cart);
    await this.inventory.reserve({ orderId: order.id, lines: order.lines });
    await this.payments.charge({ orderId: order.id, customer: order.customer, amount: order.total });
    return this.orders.markPaid(order);
  }
}
