import { randomUUID } from 'node:crypto';
import { Injectable, UnprocessableEntityException } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, type Repository } from 'typeorm';
import type { Cart } from '../cart.js';
import { Order } from './order.entity.js';
import { Product } from './product.entity.js';

/** Orders in the service's own database. */
@Injectable()
export class OrdersService {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    @InjectRepository(Product) private readonly products: Repository<Product>,
  ) {}

  async place({ customer, lines }: Cart): Promise<Order> {
    const total = await this.totalOf(lines);
    return this.orders.save({ id: randomUUID(), customer, lines, total, status: 'placed' });
  }

  async markPaid(order: Order): Promise<Order> {
    order.status = 'paid';
    return this.orders.save(order);
  }

  all(): Promise<Order[]> {
    return this.orders.find({ order: { id: 'ASC' } });
  }

  private async totalOf(lines: Cart['lines']): Promise<number> {
    const products = await this.products.findBy({ sku: In(lines.map(({ sku }) => sku)) });
    const prices = new Map(products.map(({ sku, price }) => [sku, price]));
    return lines.reduce((total, { sku, quantity }) => {
      const price = prices.get(sku);
      if (price === undefined) throw new UnprocessableEntityException(`there is no product ${sku}`);
      return total + price * quantity;
    }, 0);
  }
}
