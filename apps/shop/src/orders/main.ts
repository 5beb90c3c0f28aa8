import { runService } from '../service.js';
import { OrdersModule } from './orders.module.js';

await runService('orders', (settings) => OrdersModule.with(settings));
