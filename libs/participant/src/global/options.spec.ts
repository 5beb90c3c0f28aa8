import { describe, expect, it } from '@jest/globals';
import { GlobalConfigurationError } from './errors.js';
import { DestinationList, checkGlobalTransactionOptions } from './options.js';

describe('the options of a global transaction', () => {
  it.each<[Record<string, unknown>, string]>([
    [{ timeout: 5 }, 'there is no option "timeout"; use timeoutMs'],
    [{ timeoutMs: 99 }, 'timeoutMs is 99; use a number of milliseconds from 100 to 3600000'],
    [{ timeoutMs: Number.NaN }, 'timeoutMs is NaN'],
    [{ protocol: '4pc' }, 'use 2pc or 3pc'],
    [{ propagation: 'SOMETIMES' }, 'use one of REQUIRED, REQUIRES_NEW'],
    [{ retry: { attempts: 0 } }, 'retry.attempts is 0; use a whole number from 1 to 10'],
    [{ retry: { attempts: 2.5 } }, 'retry.attempts is 2.5'],
    [{ retry: { attempts: 11 } }, 'from 1 to 10'],
  ])('%j are refused with a sentence', (options, sentence) => {
    const check = (): void => checkGlobalTransactionOptions(options, 'Orders.checkout');
    expect(check).toThrow(GlobalConfigurationError);
    expect(check).toThrow(`Orders.checkout: `);
    expect(check).toThrow(sentence);
  });

  it('may all be left out, or all be given', () => {
    checkGlobalTransactionOptions({}, 'x');
    checkGlobalTransactionOptions(
      { timeoutMs: 100, protocol: '3pc', propagation: 'NESTED', retry: { attempts: 10 }, metadata: { cart: 1 } },
      'x',
    );
  });
});

describe('the list of destinations', () => {
  it('knows each by its address, in any case, and what it calls itself', () => {
    const list = new DestinationList(['Inventory:3000', { destination: 'proxy:80', audience: 'Payments' }]);
    expect(
      ['inventory:3000', 'INVENTORY:3000', 'proxy:80', 'inventory:3001', 'inventory'].map((one) =>
        list.audienceOf(one),
      ),
    ).toEqual(['inventory:3000', 'inventory:3000', 'payments', undefined, undefined]);
  });

  it.each(['', 'http://inventory:3000', 'two words', 'x'.repeat(256)])('refuses "%s"', (entry) => {
    expect(() => new DestinationList([entry])).toThrow('use host:port as it is called');
  });
});
