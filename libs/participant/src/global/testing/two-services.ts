import { GlobalSystem, type FakeService } from './global-system.js';
import { startHttpCallee, type HttpCallee } from './http-callee.js';

/** Orders, which begins and calls, and inventory behind real HTTP, to which orders may propagate. */
export interface TwoServices {
  readonly system: GlobalSystem;
  readonly orders: FakeService;
  readonly inventory: FakeService;
  readonly callee: HttpCallee;
}

/** Starts both; who starts them stops the callee. */
export async function startTwoServices(): Promise<TwoServices> {
  const system = new GlobalSystem();
  const inventory = system.service('inventory');
  const callee = await startHttpCallee(inventory);
  const orders = system.service('orders', { propagateTo: [callee.host] });
  return { system, orders, inventory, callee };
}
