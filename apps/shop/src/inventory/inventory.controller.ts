import { Body, Controller, Get, Inject, Post } from '@nestjs/common';
import { JoinGlobalTransaction } from '@concordat/nestjs';
import { reservationSchema, type ReservationRequest } from '../cart.js';
import { SchemaPipe } from '../schema.pipe.js';
import { InventoryService } from './inventory.service.js';
import type { Reservation } from './reservation.entity.js';
import type { Stock } from './stock.entity.js';

@Controller()
export class InventoryController {
  constructor(@Inject(InventoryService) private readonly inventory: InventoryService) {}

  @JoinGlobalTransaction('MANDATORY')
  @Post('reservations')
  async reserve(@Body(new SchemaPipe(reservationSchema)) request: ReservationRequest): Promise<void> {
    await this.inventory.reserve(request);
  }

  @Get('reservations')
  reserved(): Promise<Reservation[]> {
    return this.inventory.reserved();
  }

  @Get('stock')
  inStock(): Promise<Stock[]> {
    return this.inventory.inStock();
  }
}
