import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ConcordatClient } from '@concordat/client';
import { SystemClock, SystemRandom, type Logger } from '@concordat/foundation';
import { dialerOverTcp, DirectParticipantBus, type LinkToken } from '@concordat/messaging';
import { createApiToken } from '../auth/credentials/api-tokens.js';
import { EmbeddedCoordinator } from './index.js';

/** The libraries of users against a coordinator that asks who is there. */
let directory: string;
let coordinator: EmbeddedCoordinator;
const tokens = new Map<string, string>();
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-secured-'));
  const lines = ['client', 'participant:orders', 'metrics'].map((role) => {
    const { token, line } = createApiToken({ name: role.replace(':', '-'), roles: [role] });
    tokens.set(role, token);
    return line;
  });
  writeFileSync(join(directory, 'tokens'), lines.join('\n'), { mode: 0o600 });
  const environment = { CONCORDAT_AUTH_TOKEN_FILE: join(directory, 'tokens') };
  coordinator = await EmbeddedCoordinator.start({ environment });
});
afterAll(async () => {
  await coordinator.stop();
  rmSync(directory, { recursive: true });
});

describe('the client library', () => {
  const clientWith = (token: string | undefined) => new ConcordatClient({ coordinators: [coordinator.url], token });

  it('begins, watches and aborts what is its own', async () => {
    const client = clientWith(tokens.get('client'));
    const { id, owner } = await client.begin();
    expect(owner).toBe('token:client');
    const watched: string[] = [];
    const watch = (async () => {
      for await (const { status } of client.watch(id)) watched.push(status);
    })();
    expect(await client.abort(id)).toMatchObject({ settled: true, transaction: { id, owner } });
    await watch;
    expect(watched.at(-1)).toBe('aborted');
    const listed: string[] = [];
    for await (const transaction of client.list()) listed.push(transaction.id);
    expect(listed).toEqual([id]);
  });

  it('says by code what is wrong', async () => {
    await expect(clientWith(undefined).begin()).rejects.toMatchObject({
      name: 'UnauthenticatedError',
      code: 'UNAUTHENTICATED',
      status: 401,
    });
    await expect(clientWith(tokens.get('metrics')).begin()).rejects.toMatchObject({
      name: 'ForbiddenError',
      code: 'FORBIDDEN',
      message: expect.stringContaining('client'),
    });
  });
});

describe('direct streams', () => {
  async function connect(token: LinkToken | undefined, until: (lines: readonly string[]) => boolean): Promise<void> {
    const lines: string[] = [];
    const note = (line: string): void => void lines.push(line);
    const logger: Logger = { debug: note, info: note, warn: note, error: note };
    const bus = new DirectParticipantBus({
      cluster: coordinator.clusterName,
      participant: 'orders',
      coordinators: [coordinator.url],
      dial: dialerOverTcp(token),
      clock: new SystemClock(),
      random: new SystemRandom(),
      logger,
    });
    await bus.start();
    while (!until(lines)) await new Promise((resolve) => setTimeout(resolve, 5));
    await bus.stop();
  }

  it('open with a token, by which a participant asks where to', async () => {
    const isOpen = (): boolean => coordinator.streams().get('orders') === 1;
    await connect(() => Promise.resolve(tokens.get('participant:orders')!), isOpen);
  });

  it.each([
    ['without one', undefined, 'needs a token (option "token")'],
    ['with a wrong one', 'cct_wrong', 'does not take the token (option "token")'],
  ])('do not %s, and the log says why', async (_name, token, said) => {
    await connect(token, (lines) => lines.some((line) => line.includes(said)));
  });
});
