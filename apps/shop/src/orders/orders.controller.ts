import { Body, Controller, Get, Inject, Post, UseFilters } from '@nestjs/common';
import { cartSchema, type Cart } from '../cart.js';
import { SchemaPipe } from '../schema.pipe.js';
import { CheckoutService } from './checkout.service.js';
import type { Order } from './order.entity.js';
import { OrdersService } from './orders.service.js';
import { TransactionFilter } from './transaction.filter.js';

@Controller()
@UseFilters(TransactionFilter)
export class OrdersController {
  constructor(
    @Inject(OrdersService) private readonly orders: OrdersService,
    @Inject(CheckoutService) private readonly checkouts: CheckoutService,
  ) {}

  @Post('checkout')
  checkout(@Body(new SchemaPipe(cartSchema)) cart: Cart): Promise<Order> {
    return this.checkouts.checkout(cart);
  }

  @Get('orders')
  all(): Promise<Order[]> {
    return this.orders.all();
  }
}
