import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { describe, expect, it } from '@jest/globals';
import { markAsHandler, markPayloadAndContext } from './nest-messages.js';

const TRANSPORT = Symbol('TRANSPORT');

class OfNest {
  @MessagePattern('debit', TRANSPORT as never, { schema: 'a schema' })
  debit(@Payload() payload: unknown, @Ctx() context: unknown): unknown {
    return [payload, context];
  }
}

class Own {
  debit(): void {}
}
const methodOf = ({ prototype }: { readonly prototype: object }): object => Reflect.get(prototype, 'debit') as object;
markAsHandler(methodOf(Own), 'debit', TRANSPORT, { schema: 'a schema' });
markPayloadAndContext(Own, 'debit');

const isOfNest = (key: unknown): boolean => !String(key).startsWith('design:');

function onMethod(method: object): unknown {
  const keys = (Reflect.getMetadataKeys(method) as unknown[]).filter(isOfNest);
  return Object.fromEntries(keys.map((key) => [key, Reflect.getMetadata(key, method)]));
}

/** Without fields that are undefined, which versions of Nest write or not. */
function onParameters(type: object): unknown {
  const keys = (Reflect.getMetadataKeys(type, 'debit') as unknown[]).filter(isOfNest);
  const found = Object.fromEntries(keys.map((key) => [key, Reflect.getMetadata(key, type, 'debit')]));
  return JSON.parse(JSON.stringify(found));
}

describe('what a handler carries', () => {
  it('is what the decorators of @nestjs/microservices write', () => {
    expect(onMethod(methodOf(Own))).toEqual(onMethod(methodOf(OfNest)));
    expect(onMethod(methodOf(Own))).toHaveProperty(['microservices:transport'], TRANSPORT);
  });

  it('describes its parameters as they do', () => {
    expect(onParameters(Own)).toEqual(onParameters(OfNest));
    expect(onParameters(Own)).toMatchObject({ __routeArguments__: { '3:0': { index: 0 }, '6:1': { index: 1 } } });
  });
});
