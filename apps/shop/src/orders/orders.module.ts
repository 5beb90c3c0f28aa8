import { HttpModule } from '@nestjs/axios';
import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { ClientKafka } from '@nestjs/microservices';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { ProcessLogger } from '@concordat/foundation';
import { kafkaSecurityOptions } from '@concordat/nestjs';
import { concordatModule } from '../concordat.js';
import { databaseModule } from '../database.js';
import { CHARGE_TOPIC } from '../kafka-topics.js';
import type { Settings } from '../settings.js';
import { LOGGER } from '../tokens.js';
import { CheckoutService } from './checkout.service.js';
import { CreateOrders1796083200001 } from './create-orders.migration.js';
import { InventoryClient } from './inventory.client.js';
import { Order } from './order.entity.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { PaymentsClient } from './payments.client.js';
import { Product } from './product.entity.js';

const ENTITIES = [Order, Product];
const REQUEST_TIMEOUT_MS = 10_000;

/** Takes orders, and has the goods reserved and paid by the other two services. */
@Module({})
export class OrdersModule {
  static with(settings: Settings): DynamicModule {
    const { databaseUrl, inventoryUrl, paymentsUrl } = settings;
    return {
      module: OrdersModule,
      imports: [
        databaseModule(databaseUrl, 'orders', ENTITIES, CreateOrders1796083200001),
        TypeOrmModule.forFeature(ENTITIES),
        HttpModule.register({ timeout: REQUEST_TIMEOUT_MS }),
        concordatModule('orders', settings, [hostOf(inventoryUrl), hostOf(paymentsUrl), CHARGE_TOPIC]),
      ],
      controllers: [OrdersController],
      providers: [OrdersService, CheckoutService, InventoryClient, PaymentsClient, ...kafkaClient(settings)],
    };
  }
}

const hostOf = (url: string): string => new URL(url).host;

function kafkaClient({ kafkaBrokers, kafkaSecurity, cluster }: Settings): Provider[] {
  if (kafkaBrokers.length === 0) return [];
  const consumer = { groupId: `shop.${cluster}.orders.${process.pid}` };
  const clientOf = (logger: ProcessLogger): ClientKafka => {
    const security = kafkaSecurityOptions(kafkaSecurity, logger);
    return new ClientKafka({ client: { clientId: 'shop-orders', brokers: [...kafkaBrokers], ...security }, consumer });
  };
  return [{ provide: ClientKafka, inject: [LOGGER], useFactory: clientOf }];
}
