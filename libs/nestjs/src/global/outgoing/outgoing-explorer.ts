import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import {
  joinAxios,
  joinFetch,
  joinProducer,
  watchUnjoinedClients,
  type AxiosLike,
  type GlobalTransactions,
  type ProducerLike,
} from '@concordat/participant';
import { clientProxyOf, joinClientProxy } from './client-proxy.js';
import { grpcClientOf, refuseUnjoinedGrpc } from './unjoined-grpc.js';

/**
 * Lets the application's calls join, without a change of its code: `fetch`, and what is a provider, or a property of a
 * provider or controller, when the application starts: each `HttpService` of Nest's HttpModule and axios instance, each
 * client of Nest's microservices, and each producer of kafkajs. Requests of other clients over HTTP to hosts on
 * `propagateTo` are found; so are clients of gRPC without the interceptor.
 */
export class OutgoingExplorer implements OnModuleInit, OnApplicationShutdown {
  private readonly undo: (() => void)[] = [];

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly transactions: GlobalTransactions,
  ) {}

  /** @throws GlobalConfigurationError for a client of gRPC that would carry no transaction */
  onModuleInit(): void {
    this.undo.push(joinFetch(this.transactions), watchUnjoinedClients(this.transactions));
    const axiosInstances = new Set<AxiosLike>();
    const clients = new Set<object>();
    const producers = new Set<ProducerLike>();
    for (const one of this.candidates()) {
      const axios = lookInto(() => axiosOf(one));
      if (axios) axiosInstances.add(axios);
      const client = lookInto(() => clientProxyOf(one));
      if (client) clients.add(client);
      const producer = lookInto(() => producerOf(one));
      if (producer) producers.add(producer);
      const grpc = lookInto(() => grpcClientOf(one));
      if (grpc) refuseUnjoinedGrpc(grpc, this.transactions);
    }
    for (const axios of axiosInstances) this.undo.push(joinAxios(axios, this.transactions));
    for (const client of clients) this.undo.push(joinClientProxy(client, this.transactions));
    for (const producer of producers) this.undo.push(joinProducer(producer, this.transactions));
  }

  /** What Nest has made, and what that has as properties. */
  private candidates(): Set<unknown> {
    const wrappers = [...this.discovery.getProviders(), ...this.discovery.getControllers()];
    const instances = new Set(wrappers.map(({ instance }): unknown => instance));
    return new Set([...instances, ...[...instances].flatMap((one) => lookInto(() => propertiesOf(one)) ?? [])]);
  }

  onApplicationShutdown(): void {
    for (const undo of this.undo.splice(0)) undo();
  }
}

/** Providers of nestjs-cls stand for values of a request, and throw when somebody looks into them outside of one. */
function lookInto<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** The values of its own properties; none of them is computed for it. What a client of Nest has is its own affair. */
function propertiesOf(instance: unknown): unknown[] {
  if (typeof instance !== 'object' || instance === null || clientProxyOf(instance)) return [];
  return Object.values(Object.getOwnPropertyDescriptors(instance)).map(({ value }): unknown => value);
}

/** A producer of kafkajs, by its methods. */
function producerOf(value: unknown): ProducerLike | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const names = ['send', 'sendBatch', 'transaction', 'isIdempotent'];
  return names.every((name) => typeof Reflect.get(value, name) === 'function') ? (value as ProducerLike) : undefined;
}

/** An axios instance, or that of an `HttpService`. */
function axiosOf(value: unknown): AxiosLike | undefined {
  if (isAxios(value)) return value;
  if (typeof value !== 'object' || value === null || !('axiosRef' in value)) return undefined;
  return isAxios(value.axiosRef) ? value.axiosRef : undefined;
}

function isAxios(value: unknown): value is AxiosLike {
  return typeof value === 'function' && ['interceptors', 'defaults', 'create'].every((name) => name in value);
}
