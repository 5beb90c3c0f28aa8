import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { DataSource } from 'typeorm';
import { ConcordatParticipant, GlobalTransactions } from '@concordat/nestjs';
import { answerCalls, type CallMessage } from '../called-process.js';
import { closedLoop, type Measurement } from '../closed-loop.js';
import { until } from '../until.js';
import { randomAccounts } from '../transfer/main.js';
import { ClsAccounts, ClsService, clsDataSource, type ClsServiceOptions } from './cls-service.js';

export type ClsCall = 'start' | 'measure' | 'stop';

export interface ClsMeasurement {
  readonly measurement: Measurement;
  /** of the process, for one transaction, in microseconds */
  readonly cpuMicroseconds: number;
}

export interface ClsCalls {
  start: { request: ClsServiceOptions; answer: null };
  measure: { request: { readonly clients: number; readonly seconds: number }; answer: ClsMeasurement };
  stop: { request: null; answer: null };
}

let app: INestApplicationContext | undefined;
let dataSource: DataSource | undefined;

async function start(options: ClsServiceOptions): Promise<void> {
  dataSource = await clsDataSource(options.databaseUrl);
  const service = ClsService.with(dataSource, options);
  app = await NestFactory.createApplicationContext(service, { logger: ['warn', 'error', 'fatal'] });
  if (options.concordat) await commitGlobally(app);
}

/** From now on the process is one in which global transactions happen. */
async function commitGlobally(context: INestApplicationContext): Promise<void> {
  const participant = context.get(ConcordatParticipant, { strict: false });
  const transactions = context.get(GlobalTransactions, { strict: false });
  const accounts = context.get(ClsAccounts);
  await until(async () => ((await participant.health()).ready ? true : undefined), 'the participant to be ready');
  await transactions.run({}, async ({ client }) => {
    await accounts.change('bench-0');
    const { rows } = await client.query<{ joined: boolean }>(
      `select pg_current_xact_id_if_assigned() is not null as joined`,
    );
    if (rows[0]?.joined !== true) throw new Error('nestjs-cls did not join the global transaction');
  });
}

async function measure({ clients, seconds }: ClsCalls['measure']['request']): Promise<ClsMeasurement> {
  const accounts = app!.get(ClsAccounts);
  const before = process.cpuUsage();
  const measurement = await closedLoop(clients, { seconds }, async () => {
    await accounts.change(randomAccounts()[0]);
    return undefined;
  });
  const { user, system } = process.cpuUsage(before);
  return { measurement, cpuMicroseconds: (user + system) / Math.max(1, measurement.committed) };
}

async function answer({ name, request }: CallMessage<ClsCall>): Promise<unknown> {
  switch (name) {
    case 'start':
      await start(request as ClsServiceOptions);
      return null;
    case 'measure':
      return measure(request as ClsCalls['measure']['request']);
    default:
      await app?.close();
      await dataSource?.destroy();
      return null;
  }
}

answerCalls<ClsCall>('stop', answer);
