import { describe, expect, it, jest } from '@jest/globals';
import { silentLogger, UuidV7Generator, SeededRandom } from '@concordat/foundation';
import { directBus } from './buses.js';
import { ParticipantService, type ServiceHandlers } from './participant-service.js';
import { ParticipantConfigurationError } from '../runtime/errors.js';

const wrong = new ParticipantConfigurationError('the handlers are those of another participant');

function serviceThatNeverStarts(onFatal: (error: unknown) => void): ParticipantService {
  const handlers: ServiceHandlers = {
    listening: Promise.resolve(),
    notListening: 'nobody has asked yet',
    check: () => {
      throw wrong;
    },
    operations: () => [],
    handle: () => Promise.reject(new Error('there are none')),
  };
  return new ParticipantService(
    {
      participant: 'orders',
      postgres: { connectionString: 'postgres://nobody@127.0.0.1:1/nothing' },
      bus: directBus({ coordinators: ['http://127.0.0.1:1'] }),
      onFatal,
      logger: silentLogger,
    },
    handlers,
  );
}

describe('a participant that can never start with its set-up', () => {
  it('refuses work at once with the reason, instead of letting it wait for its deadline', async () => {
    const onFatal = jest.fn();
    const service = serviceThatNeverStarts(onFatal);
    const ids = new UuidV7Generator(() => 0, new SeededRandom(1));
    const ask = (): Promise<unknown> =>
      service.hold({ transactionId: ids.next(), branchId: ids.next(), deadline: 3_600_000, timeoutMs: 3_600_000 });
    const early = expect(ask()).rejects.toBe(wrong);
    service.start();
    await early;
    await expect(ask()).rejects.toBe(wrong);
    expect(onFatal).toHaveBeenCalledWith(wrong);
    expect(await service.health()).toMatchObject({ ready: false, obstacle: wrong.message });
    await service.stop();
  });
});
