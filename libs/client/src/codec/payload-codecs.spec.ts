import { describe, expect, it } from '@jest/globals';
import { ClientOptionError } from '../errors/errors.js';
import { committed as committedFields, sampleBranch, sampleTransaction, TRANSACTION_ID } from '../testing/samples.js';
import { answer } from '../testing/scripted-fetch.js';
import { settle, virtualClient } from '../testing/virtual-client.js';
import { aesCodec } from './aes-codec.js';
import type { JsonValue } from '../model/json.js';
import type { EncodedPayload, PayloadCodec, PayloadContext } from './payload-codec.js';
import { PayloadCodecError, PayloadCodecs } from './payload-codecs.js';

const context: PayloadContext = { participant: 'bank-a', operation: 'debit', kind: 'payload' };
const keyOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const old = aesCodec({ id: 'old', key: keyOf(1) });
const next = aesCodec({ id: 'next', key: keyOf(2) });
const payload = { account: 'acc-1', amount: 10, note: 'ß€𝄞', tags: [null, true] };

async function encodedBy(codec: PayloadCodec, value: unknown, of = context): Promise<EncodedPayload> {
  return (await new PayloadCodecs([codec]).encode(value, of)) as EncodedPayload;
}

describe('codecs of payloads', () => {
  it('give back what they were given, and show nothing of it', async () => {
    const codecs = new PayloadCodecs([old]);
    for (const value of [payload, 'text', 7, null, [], { $codec: 'old', data: '' }, 'x'.repeat(100_000)]) {
      const encoded = await encodedBy(old, value);
      expect(encoded).toEqual({ $codec: 'old', data: expect.stringMatching(/^[A-Za-z0-9+/]+=*$/) });
      expect(await codecs.decode({ ...encoded }, context)).toEqual(value);
    }
    const { data } = await encodedBy(old, payload);
    expect(Buffer.from(data, 'base64').toString('latin1')).not.toContain('acc-1');
  });

  it('make the same of the same, so that a request may be repeated under its key, and else something else', async () => {
    const [first, again, other] = await Promise.all([
      encodedBy(old, payload),
      encodedBy(old, payload),
      encodedBy(old, payload, { ...context, operation: 'credit' }),
    ]);
    expect(again).toEqual(first);
    expect(other.data).not.toBe(first.data);
  });

  it('decode by every key that they have, so that keys can be rotated', async () => {
    const both = new PayloadCodecs([next, old]);
    expect(await both.decode({ ...(await encodedBy(old, payload)) }, context)).toEqual(payload);
    expect(await both.encode(payload, context)).toMatchObject({ $codec: 'next' });
    expect(new PayloadCodecs([]).isEmpty).toBe(true);
  });

  it('say that they do not know a codec, and leave what no codec has made', async () => {
    const codecs = new PayloadCodecs([next]);
    const unknown = codecs.decode({ ...(await encodedBy(old, payload)) }, context);
    await expect(unknown).rejects.toMatchObject({
      code: 'UNKNOWN_CODEC',
      message: 'the payload of "debit" of "bank-a" was encoded by "old", which is not among payloadCodecs here',
    });
    const strange = codecs.decode({ $codec: 'x'.repeat(1_000), data: '' }, context);
    await expect(strange).rejects.toThrow('a codec with an id that none can have');
    for (const value of [null, 'x', { $codec: 'old' }, { $codec: 'old', data: '', more: 1 }, { $codec: 1, data: '' }]) {
      expect(await codecs.decode(value as JsonValue, context)).toEqual(value);
    }
  });

  it('refuse what was made for another operation, by another key, or changed, without showing it', async () => {
    const codecs = new PayloadCodecs([old]);
    const encoded = await encodedBy(old, payload);
    const bytes = Buffer.from(encoded.data, 'base64');
    bytes[20]! ^= 1;
    const tries = [
      codecs.decode({ ...encoded }, { ...context, operation: 'credit' }),
      codecs.decode({ ...encoded }, { ...context, participant: 'bank-b' }),
      codecs.decode({ ...encoded }, { ...context, kind: 'result' }),
      codecs.decode({ ...encoded, data: bytes.toString('base64') }, context),
      codecs.decode({ ...encoded, data: '%' }, context),
      codecs.decode({ ...encoded, data: '' }, context),
      new PayloadCodecs([aesCodec({ id: 'old', key: keyOf(3) })]).decode({ ...encoded }, context),
    ];
    for (const tried of await Promise.allSettled(tries)) {
      expect(tried.status).toBe('rejected');
      const { reason } = tried as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(PayloadCodecError);
      expect(reason).not.toHaveProperty('cause');
      expect(reason).toMatchObject({ code: 'PAYLOAD_NOT_DECODABLE' });
    }
  });

  it('refuse keys and ids that are not valid', () => {
    expect(() => aesCodec({ id: 'a', key: new Uint8Array(16) })).toThrow('must have 32 bytes');
    expect(() => new PayloadCodecs([{ ...old, id: 'a b' }])).toThrow(ClientOptionError);
    expect(() => new PayloadCodecs([old, { ...next, id: 'old' }])).toThrow('two codecs have the same id');
  });
});

describe('a client with codecs', () => {
  const work = { participant: 'bank-a', operation: 'debit', payload } as const;
  const resultContext = { ...context, kind: 'result' } as const;

  async function committed(result: EncodedPayload): Promise<Record<string, unknown>> {
    const operation = { operation: 'debit', payload: { ...(await encodedBy(old, payload)) }, keys: [] };
    const branches = [sampleBranch({ operations: [{ ...operation, result: { ...result } }] })];
    return { ...sampleTransaction({ ...committedFields, branches }) };
  }

  it('sends and gets nothing in plain, and its caller notices nothing', async () => {
    const body = await committed(await encodedBy(old, { balance: 3 }, resultContext));
    const { client, clock, script } = virtualClient([answer(200, body), answer(200, body)], { payloadCodecs: [old] });
    const execution = await settle(clock, client.execute([work]));
    expect(execution).toMatchObject({ settled: true, results: [{ balance: 3 }] });
    expect(execution.transaction.branches[0]!.operations[0]).toMatchObject({ payload, result: { balance: 3 } });
    expect(JSON.stringify(script.sent)).not.toContain('acc-1');
    expect((await settle(clock, client.get(TRANSACTION_ID))).branches[0]!.operations[0]).toMatchObject({ payload });
  });

  it('says that the transaction may be committed when its result cannot be decoded, and shows it as it is to readers', async () => {
    const body = await committed(await encodedBy(next, { balance: 3 }, resultContext));
    const { client, clock } = virtualClient([answer(200, body), answer(200, body)], { payloadCodecs: [old] });
    await expect(settle(clock, client.execute([work]))).rejects.toMatchObject({
      code: 'UNKNOWN_CODEC',
      mayHaveTakenEffect: true,
    });
    const read = await settle(clock, client.get(TRANSACTION_ID));
    expect(read.branches[0]!.operations[0]).toMatchObject({ payload, result: { $codec: 'next' } });
  });

  it('refuses a payload that is no JSON, before it is encoded', async () => {
    const { client, clock } = virtualClient([], { payloadCodecs: [old] });
    const odd = client.execute([{ ...work, payload: { amount: 10n } }]);
    await expect(settle(clock, odd)).rejects.toMatchObject({ code: 'INVALID_VALUE' });
  });
});
