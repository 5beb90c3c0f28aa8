import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Transport } from '@nestjs/microservices';
import { PlannedService, type PlannedServiceOptions } from './planned-service.js';

export interface PlannedProcessOptions extends PlannedServiceOptions {
  readonly port: number;
  readonly tcpPort?: number;
}

const options = JSON.parse(process.argv[2]!) as PlannedProcessOptions;
const { participant, port, tcpPort, kafkaBrokers } = options;
const app = await NestFactory.create<NestFastifyApplication>(PlannedService.with(options), new FastifyAdapter());
if (tcpPort !== undefined)
  app.connectMicroservice({ transport: Transport.TCP, options: { host: '127.0.0.1', port: tcpPort } });
if (kafkaBrokers && tcpPort !== undefined) {
  app.connectMicroservice({
    transport: Transport.KAFKA,
    options: { client: { clientId: participant, brokers: kafkaBrokers }, consumer: { groupId: participant } },
  });
}
await app.startAllMicroservices();
await app.listen(port, '127.0.0.1');
