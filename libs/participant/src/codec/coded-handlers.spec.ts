import { describe, expect, it } from '@jest/globals';
import { aesCodec, PayloadCodecs, type PayloadContext } from '@concordat/client';
import type { JsonValue } from '@concordat/foundation';
import type { OperationCall } from '@concordat/commit-protocol';
import type { OperationHandlers } from '../runtime/participant-runtime.types.js';
import { withPayloadCodecs } from './coded-handlers.js';

const codec = aesCodec({ id: 'k1', key: new Uint8Array(32).fill(1) });
const codecs = new PayloadCodecs([codec]);
const branch = { transactionId: 't', branchId: 'b', deadline: 0 };
const contextOf = (kind: PayloadContext['kind']): PayloadContext => ({
  participant: 'bank-a',
  operation: 'debit',
  kind,
});
const callOf = (payload: unknown): OperationCall => ({
  operation: 'debit',
  payload: payload as JsonValue,
  keys: ['k'],
});

class Handlers implements OperationHandlers<string> {
  readonly seen: unknown[] = [];
  returned: unknown = { balance: 3 };

  operations(): readonly string[] {
    return ['debit'];
  }

  async handle(call: OperationCall): Promise<unknown> {
    this.seen.push(call.payload);
    return this.returned;
  }
}

describe('handlers with codecs', () => {
  it('get what the client gave, and what they return is encoded', async () => {
    const handlers = new Handlers();
    const coded = withPayloadCodecs('bank-a', handlers, [codec]);
    const result = await coded.handle(callOf(await codecs.encode({ amount: 1 }, contextOf('payload'))), 'c', branch);
    expect(handlers.seen).toEqual([{ amount: 1 }]);
    expect(result).toMatchObject({ $codec: 'k1' });
    expect(await codecs.decode(result as JsonValue, contextOf('result'))).toEqual({ balance: 3 });
    expect(coded.operations()).toEqual(['debit']);
  });

  it('serve clients without codecs as well, and answer them in plain', async () => {
    const handlers = new Handlers();
    expect(await withPayloadCodecs('bank-a', handlers, [codec]).handle(callOf({ amount: 1 }), 'c', branch)).toEqual({
      balance: 3,
    });
    expect(withPayloadCodecs('bank-a', handlers, [])).toBe(handlers);
  });

  it('refuse what they cannot decode, and run nothing', async () => {
    const handlers = new Handlers();
    const payload = await codecs.encode({ amount: 1 }, contextOf('payload'));
    const other = aesCodec({ id: 'k2', key: new Uint8Array(32) });
    const unknown = withPayloadCodecs('bank-a', handlers, [other]).handle(callOf(payload), 'c', branch);
    await expect(unknown).rejects.toMatchObject({ name: 'BranchRefusedError', code: 'UNKNOWN_CODEC' });
    const elsewhere = withPayloadCodecs('bank-b', handlers, [codec]).handle(callOf(payload), 'c', branch);
    await expect(elsewhere).rejects.toMatchObject({ name: 'BranchRefusedError', code: 'PAYLOAD_NOT_DECODABLE' });
    expect(handlers.seen).toEqual([]);
  });

  it('refuse a result that is no JSON as without codecs', async () => {
    const handlers = new Handlers();
    handlers.returned = { amount: 1n };
    const payload = await codecs.encode({ amount: 1 }, contextOf('payload'));
    const handled = withPayloadCodecs('bank-a', handlers, [codec]).handle(callOf(payload), 'c', branch);
    await expect(handled).rejects.toMatchObject({ code: 'RESULT_NOT_JSON' });
  });
});
