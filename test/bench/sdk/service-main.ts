import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { BenchService } from './service.js';

const {
  CONCORDAT_PARTICIPANT: participant = '',
  CONCORDAT_CLUSTER: cluster = '',
  CONCORDAT_COORDINATORS: coordinators = '',
  CONCORDAT_HTTP: address = '',
  DATABASE_URL: databaseUrl = '',
  BENCH_CALLEES: callees = '',
  BENCH_WAIT_FOR: waitFor,
} = process.env;
const service = BenchService.with({
  participant,
  cluster,
  databaseUrl,
  coordinators: coordinators.split(','),
  callees: callees.split(',').filter((host) => host !== ''),
  waitFor: waitFor === 'decided' ? 'decided' : 'ended',
});
const logger = ['warn', 'error', 'fatal'] as const;
const app = await NestFactory.create<NestFastifyApplication>(service, new FastifyAdapter(), { logger: [...logger] });
const [host = '', port = ''] = address.split(':');
app.enableShutdownHooks();
await app.listen(Number(port), host);
