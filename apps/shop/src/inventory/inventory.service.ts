import { ConflictException, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { MoreThanOrEqual, type Repository } from 'typeorm';
import type { ReservationRequest } from '../cart.js';
import { Reservation } from './reservation.entity.js';
import { Stock } from './stock.entity.js';

/** Stock and what is reserved of it, in the service's own database. */
@Injectable()
export class InventoryService {
  constructor(
    @InjectRepository(Stock) private readonly stock: Repository<Stock>,
    @InjectRepository(Reservation) private readonly reservations: Repository<Reservation>,
  ) {}

  async reserve({ orderId, lines }: ReservationRequest): Promise<void> {
    // in one order for all, so that two checkouts never wait for each other
    for (const { sku, quantity } of [...lines].sort((a, b) => (a.sku < b.sku ? -1 : 1))) {
      const enough = { sku, available: MoreThanOrEqual(quantity) };
      const { affected } = await this.stock.decrement(enough, 'available', quantity);
      if (affected !== 1) throw new ConflictException(`there are not ${quantity} of ${sku} in stock`);
      await this.reservations.insert({ orderId, sku, quantity });
    }
  }

  inStock(): Promise<Stock[]> {
    return this.stock.find({ order: { sku: 'ASC' } });
  }

  reserved(): Promise<Reservation[]> {
    return this.reservations.find({ order: { orderId: 'ASC', sku: 'ASC' } });
  }
}
