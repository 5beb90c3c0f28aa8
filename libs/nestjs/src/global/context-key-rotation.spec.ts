import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Body, Controller, Inject, Post } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFilesAgain } from '@concordat/foundation';
import { GlobalTransactions } from '@concordat/participant';
import { waitFor } from '../../../../test/support/wait-for.js';
import { GlobalTransaction, JoinGlobalTransaction } from './decorators.js';
import { NestServices, type RunningService } from './testing/services.js';

const OLD = 'canary-of-the-old-key-01';
const NEW = 'canary-of-the-new-key-02';
/** Of each caller, so that none has a call under way that was signed before the step. */
const CALLS_EACH_STEP = 6;

const urls = new Map<string, string>();

/** Both services call each other, so each signs and each verifies. */
@Controller()
class WordsController {
  constructor(@Inject(GlobalTransactions) private readonly transactions: GlobalTransactions) {}

  @GlobalTransaction()
  @Post('begin')
  async begin(@Body() { word, callee }: { word: string; callee: string }): Promise<void> {
    await this.transactions.currentClient()!.query(`add own ${word}`);
    const { ok, status } = await fetch(`${urls.get(callee)}/join`, {
      method: 'POST',
      body: JSON.stringify({ word }),
      headers: { 'content-type': 'application/json' },
    });
    if (!ok) throw new Error(`status ${status}`);
  }

  @JoinGlobalTransaction('MANDATORY')
  @Post('join')
  async join(@Body() { word }: { word: string }): Promise<{ word: string }> {
    await this.transactions.currentClient()!.query(`add called ${word}`);
    return { word };
  }
}

let directory: string;
let services: NestServices;
let orders: RunningService;
let inventory: RunningService;
let logs: string[];

const fileOf = (name: string): string => join(directory, name);

/** As a platform replaces a secret: no reader sees half of it. */
function writeKeys(name: string, keys: readonly string[]): void {
  writeFileSync(`${fileOf(name)}.new`, `${keys.join('\n')}\n`, { mode: 0o600 });
  renameSync(`${fileOf(name)}.new`, fileOf(name));
}

async function start(name: string, callee: string): Promise<RunningService> {
  writeKeys(name, [OLD]);
  const told = logs; // files of an earlier test may still be known
  const note = (line: string): void => void told.push(line);
  const service = await services.start(name, {
    controllers: [WordsController],
    options: {
      contextKey: '',
      contextKeyFile: fileOf(name),
      propagateTo: [new URL(urls.get(callee) ?? 'http://127.0.0.1:9').host],
      logger: { debug: note, info: note, warn: note, error: note },
    },
  });
  urls.set(name, service.url);
  return service;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-rotation-'));
  logs = [];
  services = new NestServices();
  inventory = await start('inventory', 'orders');
  orders = await start('orders', 'inventory');
  const { propagateTo } = inventory.transactions.settings; // the port of orders is known only now
  propagateTo.audienceOf = (destination) => (destination === orders.host ? destination : undefined);
});

afterEach(async () => {
  await services.stop();
  rmSync(directory, { recursive: true });
});

/** Calls in both directions, one after the other, until it is stopped. */
class Traffic {
  private readonly answered = { orders: [] as number[], inventory: [] as number[] };
  private isStopped = false;
  private readonly ended: Promise<unknown>;

  constructor() {
    this.ended = Promise.all([this.run('orders', 'inventory'), this.run('inventory', 'orders')]);
  }

  get statuses(): readonly number[] {
    return Object.values(this.answered).flat();
  }

  async step(): Promise<void> {
    const callers = Object.values(this.answered);
    const enough = callers.map(({ length }) => length + CALLS_EACH_STEP);
    await waitFor('further calls were answered', () => callers.every(({ length }, place) => length >= enough[place]!));
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.ended;
  }

  private async run(caller: 'orders' | 'inventory', callee: string): Promise<void> {
    for (let count = 0; !this.isStopped; count++) {
      const { status } = await fetch(`${urls.get(caller)}/begin`, {
        method: 'POST',
        body: JSON.stringify({ word: `${caller}-${count}`, callee }),
        headers: { 'content-type': 'application/json' },
      });
      this.answered[caller].push(status);
    }
  }
}

const refused = (): number[] =>
  [orders, inventory].map(({ transactions }) => transactions.refusedContexts.counts.INVALID_CONTEXT);

describe('the key of contexts, in files of two services of one process that call each other', () => {
  it('is replaced in three steps, with one service after the other, and no call is refused', async () => {
    const traffic = new Traffic();
    try {
      for (const keys of [[OLD, NEW], [NEW, OLD], [NEW]]) {
        for (const name of ['inventory', 'orders']) {
          await traffic.step();
          writeKeys(name, keys);
          readFilesAgain();
        }
      }
      await traffic.step();
    } finally {
      await traffic.stop();
    }
    expect(new Set(traffic.statuses)).toEqual(new Set([201]));
    expect(refused()).toEqual([0, 0]);
    expect(orders.database.words).toHaveLength(traffic.statuses.length);
    expect(logs.filter((line) => line.endsWith('is asked for and is read again'))).toHaveLength(12);
    expect(logs.join('\n')).not.toContain('canary');
  });

  it('that is replaced at once makes the services refuse each other until both have it', async () => {
    const call = async (): Promise<number> => {
      const traffic = new Traffic();
      await traffic.step();
      await traffic.stop();
      return traffic.statuses.filter((status) => status !== 201).length;
    };
    expect(await call()).toBe(0);
    writeKeys('orders', [NEW]);
    readFilesAgain();
    expect(await call()).toBeGreaterThan(0);
    expect(refused().every((count) => count > 0)).toBe(true);
    const refusals = logs.filter((line) => line.includes('INVALID_CONTEXT'));
    expect(refusals.join('\n')).toContain('contextKey (CONCORDAT_CONTEXT_KEY or CONCORDAT_CONTEXT_KEY_FILE)');
    writeKeys('inventory', [NEW]);
    readFilesAgain();
    expect(await call()).toBe(0);
    expect(logs.join('\n')).not.toContain('canary');
  });
});
