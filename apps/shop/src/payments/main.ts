import { runService } from '../service.js';
import { PaymentsModule } from './payments.module.js';

await runService('payments', (settings) => PaymentsModule.with(settings));
