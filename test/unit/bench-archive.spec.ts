import { describe, expect, it } from '@jest/globals';
import { CompressedEndedTransactions } from '../../apps/coordinator/src/index.js';
import { CODINGS } from '../bench/archive/codings.js';
import { TransferMaker } from '../bench/archive/transfers.js';

describe.each(Object.entries(CODINGS))('the archive with the coding "%s"', (_name, coding) => {
  it('finds every transaction by id and by key, and in the list', () => {
    const archive = new CompressedEndedTransactions({ coding, blockSize: 16, decodedBlocks: 2 });
    const maker = new TransferMaker(true);
    const transactions = Array.from({ length: 100 }, () => maker.transfer());
    for (const transaction of transactions) archive.add(transaction);

    for (const transaction of transactions) {
      expect(archive.get(transaction.transactionId)).toEqual(transaction);
      for (const { key } of transaction.claims) expect(archive.findByKey(key)).toEqual(transaction);
    }
    expect([...archive.newestFirst()]).toEqual(transactions.toReversed());
  });
});
