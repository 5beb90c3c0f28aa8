import { request, type Answer } from '../../rest.js';
import { waitUntil } from '../../local-system/wait.js';

const CLIENTS = 6;
const REQUEST_TIMEOUT_MS = 15_000;
const PAUSE_AFTER_FAILURE_MS = 50;
const CUSTOMERS = ['ada', 'alan', 'barbara', 'edsger', 'grace', 'leslie'];
const PRODUCTS = ['beans', 'grinder', 'kettle'];
/** One checkout of this many is of a customer without credit. */
const BROKE_EVERY = 8;
const BROKE = 'broke';

/** What a client knows of one checkout. Without an answer it knows nothing: the service may have died. */
export interface Checkout {
  readonly customer: string;
  readonly answer: Answer | undefined;
}

export interface Cart {
  readonly customer: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
}

/** One checkout; undefined when there was no answer. */
export async function checkOut(url: string, cart: Cart): Promise<Answer | undefined> {
  try {
    return await request('POST', `${url}/checkout`, cart, {}, REQUEST_TIMEOUT_MS);
  } catch {
    return undefined;
  }
}

/** Customers who check out, one cart after the other, until they are stopped. */
export class ShopLoad {
  readonly checkouts: Checkout[] = [];
  private readonly clients: Promise<void>[] = [];
  private ending = false;
  private carts = 0;

  /** @param customers at a time. They want the same goods, so they wait for each other inside their transactions. */
  constructor(
    private readonly url: string,
    private readonly customers = CLIENTS,
  ) {}

  get paid(): number {
    return this.checkouts.filter(({ answer }) => answer?.status === 201).length;
  }

  start(): void {
    for (let client = 0; client < this.customers; client++) this.clients.push(this.run());
  }

  async stop(): Promise<void> {
    this.ending = true;
    await Promise.all(this.clients);
  }

  /** Waits for this many further paid orders; false when there were too few. */
  waitForPaid(count: number, timeoutMs: number): Promise<boolean> {
    const wanted = this.paid + count;
    return waitUntil(() => this.paid >= wanted, { timeoutMs, pollMs: 20 });
  }

  private async run(): Promise<void> {
    while (!this.ending) {
      const cart = this.nextCart();
      const answer = await checkOut(this.url, cart);
      this.checkouts.push({ customer: cart.customer, answer });
      if (answer?.status === 201) continue;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILURE_MS));
    }
  }

  private nextCart(): Cart {
    const number = this.carts++;
    const customer = number % BROKE_EVERY === 0 ? BROKE : CUSTOMERS[number % CUSTOMERS.length]!;
    const lines = PRODUCTS.filter((_, place) => (number >> place) % 2 === 0).map((sku, place) => ({
      sku,
      quantity: 1 + ((number + place) % 3),
    }));
    return { customer, lines: lines.length > 0 ? lines : [{ sku: 'beans', quantity: 1 }] };
  }
}
