import { runService } from '../service.js';
import { InventoryModule } from './inventory.module.js';

await runService('inventory', (settings) => InventoryModule.with(settings));
