import { describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import { aesCodec, gzipCodec, PayloadCodecs, type PayloadContext } from '@concordat/client';
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

  it('get what was compressed and encrypted, and compress what they return', async () => {
    const handlers = new Handlers();
    const both = gzipCodec({ id: 'k1-gzip', encryption: codec });
    const shared = new PayloadCodecs([both]);
    const payload = { note: 'the same words again and again. '.repeat(2_000) };
    const sent = (await shared.encode(payload, contextOf('payload'))) as { readonly data: string };
    expect(sent.data.length).toBeLessThan(payload.note.length / 50);
    handlers.returned = payload;
    const coded = withPayloadCodecs('bank-a', handlers, [both]);
    const result = (await coded.handle(callOf(sent), 'c', branch)) as { readonly data: string };
    expect(handlers.seen).toEqual([payload]);
    expect(result.data.length).toBeLessThan(payload.note.length / 50);
    expect(await shared.decode({ $codec: 'k1-gzip', ...result }, contextOf('result'))).toEqual(payload);
  });

  it('refuse what would become too large, was cut off or changed, and run nothing', async () => {
    const handlers = new Handlers();
    const coded = withPayloadCodecs('bank-a', handlers, [gzipCodec({ id: 'gzip' })]);
    const compressed = gzipSync(JSON.stringify('a'.repeat(10_000)));
    const changed = Buffer.from(compressed);
    changed[changed.length - 6]! ^= 1; // of the checksum
    const bomb = gzipSync(JSON.stringify('a'.repeat(64 * 1_048_576)));
    expect(bomb.length).toBeLessThan(192 * 1_024); // it would pass for a payload
    for (const bytes of [bomb, compressed.subarray(0, -9), changed, Buffer.alloc(0)]) {
      const payload = { $codec: 'gzip', data: Buffer.concat([Buffer.of(1), bytes]).toString('base64') };
      const handled = coded.handle(callOf(payload), 'c', branch);
      await expect(handled).rejects.toMatchObject({ name: 'BranchRefusedError', code: 'PAYLOAD_NOT_DECODABLE' });
    }
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
