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

  it('has neither bus nor database in a test of a service', async () => {
    const module = ConcordatParticipantModule.forTesting();
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    expect(app.get(ConcordatTransport)).toBeInstanceOf(ConcordatTransport);
    expect(() => app.get(ConcordatParticipant)).toThrow('does not exist');
    await app.close();
  });
});
