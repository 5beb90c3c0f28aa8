import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { ConcordatParticipantModule } from './concordat-participant.module.js';
import { ConcordatParticipant } from './concordat-participant.service.js';
import { ConcordatTransport } from './concordat-transport.js';
import { CONCORDAT_PARTICIPANT_OPTIONS, type ConcordatParticipantOptions } from './options.js';
import { kafkaBus } from '@concordat/participant';

const optionsOf = (participant: string): ConcordatParticipantOptions => ({
  participant,
  postgres: { connectionString: 'postgres://user:password@127.0.0.1:1/nobody-listens' },
  bus: kafkaBus({ brokers: ['127.0.0.1:1'], clientId: participant }),
});

const NAME = Symbol('NAME');

@Module({ providers: [{ provide: NAME, useValue: 'bank-b' }], exports: [NAME] })
class NameModule {}

describe('ConcordatParticipantModule', () => {
  it.each([
    ['forRoot', 'bank-a', ConcordatParticipantModule.forRoot(optionsOf('bank-a'))],
    [
      'forRootAsync, with what another module provides',
      'bank-b',
      ConcordatParticipantModule.forRootAsync({
        imports: [NameModule],
        inject: [NAME],
        useFactory: async (participant: string) => optionsOf(participant),
      }),
    ],
  ])('is set up by %s, and provided everywhere', async (_, participant, module) => {
    @Module({ imports: [module] })
    class RootModule {}

    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    expect(app.get<ConcordatParticipantOptions>(CONCORDAT_PARTICIPANT_OPTIONS)).toMatchObject({ participant });
    expect(app.get(ConcordatParticipant)).toBeInstanceOf(ConcordatParticipant);
    expect(app.get(ConcordatTransport)).toBeInstanceOf(ConcordatTransport);
    await app.close();
  });

  it.each<[what: string, options: object, sentence: string]>([
    [
      'does not exist',
      { ...optionsOf('bank-a'), connectionString: 'postgres://x' },
      'no option "connectionString"; use',
    ],
    ['is missing', { participant: 'bank-a', postgres: { connectionString: 'postgres://x' } }, 'bus is missing; give'],
    ['is missing, too', { participant: 'bank-a', bus: optionsOf('bank-a').bus }, 'postgres is missing; give'],
    ['nobody can do without', { ...optionsOf('bank-a'), participant: undefined }, 'participant is missing; give'],
  ])('refuses an option that %s, and says what there is', async (_, given, sentence) => {
    const options = given as ConcordatParticipantOptions;
    const expected = { code: 'PARTICIPANT_CONFIGURATION', message: expect.stringContaining(sentence) };
    expect(() => ConcordatParticipantModule.forRoot(options)).toThrow(expect.objectContaining(expected));

    class Factory {
      create = (): ConcordatParticipantOptions => options;
    }
    for (const source of [{ useFactory: () => options }, { useClass: Factory }]) {
      @Module({ imports: [ConcordatParticipantModule.forRootAsync(source)] })
      class RootModule {}
      const starting = NestFactory.createApplicationContext(RootModule, { logger: false, abortOnError: false });
      await expect(starting).rejects.toMatchObject(expected);
    }
  });

  it('has neither bus nor database in a test of a service', async () => {
    const module = ConcordatParticipantModule.forTesting();
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    expect(app.get(ConcordatTransport)).toBeInstanceOf(ConcordatTransport);
    expect(() => app.get(ConcordatParticipant)).toThrow('does not exist');
    await app.close();
  });
});
