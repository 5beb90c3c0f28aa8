import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { concordatModule } from '../concordat.js';
import { databaseModule } from '../database.js';
import type { Settings } from '../settings.js';
import { CreateStock1796083200002 } from './create-stock.migration.js';
import { InventoryController } from './inventory.controller.js';
import { InventoryService } from './inventory.service.js';
import { Reservation } from './reservation.entity.js';
import { Stock } from './stock.entity.js';

const ENTITIES = [Stock, Reservation];

/** Knows what is in stock, and reserves it for orders. */
@Module({})
export class InventoryModule {
  static with(settings: Settings): DynamicModule {
    return {
      module: InventoryModule,
      imports: [
        databaseModule(settings.databaseUrl, 'inventory', ENTITIES, CreateStock1796083200002),
        TypeOrmModule.forFeature(ENTITIES),
        concordatModule('inventory', settings),
      ],
      controllers: [InventoryController],
      providers: [InventoryService],
    };
  }
}
