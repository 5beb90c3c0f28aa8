import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { concordatModule } from '../concordat.js';
import { databaseModule } from '../database.js';
import type { Settings } from '../settings.js';
import { CreatePayments1796083200003 } from './create-payments.migration.js';
import { Customer } from './customer.entity.js';
import { Payment } from './payment.entity.js';
import { PaymentsController } from './payments.controller.js';
import { PaymentsService } from './payments.service.js';

const ENTITIES = [Customer, Payment];

/** Charges customers, as far as their credit goes. */
@Module({})
export class PaymentsModule {
  static with(settings: Settings): DynamicModule {
    return {
      module: PaymentsModule,
      imports: [
        databaseModule(settings.databaseUrl, 'payments', ENTITIES, CreatePayments1796083200003),
        TypeOrmModule.forFeature(ENTITIES),
        concordatModule('payments', settings),
      ],
      controllers: [PaymentsController],
      providers: [PaymentsService],
    };
  }
}
