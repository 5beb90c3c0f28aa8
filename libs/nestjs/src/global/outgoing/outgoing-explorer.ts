import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import {
  joinAxios,
  joinFetch,
  watchUnjoinedClients,
  type AxiosLike,
  type GlobalTransactions,
} from '@concordat/participant';
import { clientProxyOf, joinClientProxy } from './client-proxy.js';

/**
 * Lets the application's calls join, without a change of its code: `fetch`, every `HttpService` of Nest's HttpModule,
 * every client of Nest's microservices that is a provider, and what of both, and of axios instances, is a property of a
 * provider or controller when the application starts (`@Client()`, `axios.create()`). Requests of other clients to hosts
 * on `propagateTo` are found.
 */
export class OutgoingExplorer implements OnModuleInit, OnApplicationShutdown {
  private readonly undo: (() => void)[] = [];

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly transactions: GlobalTransactions,
  ) {}

  onModuleInit(): void {
    this.undo.push(joinFetch(this.transactions), watchUnjoinedClients(this.transactions));
    const axiosInstances = new Set<AxiosLike>();
    const clients = new Set<object>();
    for (const one of this.candidates()) {
      const axios = lookInto(() => axiosOf(one));
      if (axios) axiosInstances.add(axios);
      const client = lookInto(() => clientProxyOf(one));
      if (client) clients.add(client);
    }
    for (const axios of axiosInstances) this.undo.push(joinAxios(axios, this.transactions));
    for (const client of clients) this.undo.push(joinClientProxy(client, this.transactions));
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

/** The values of its own properties; none of them is computed for it. */
function propertiesOf(instance: unknown): unknown[] {
  if (typeof instance !== 'object' || instance === null) return [];
  return Object.values(Object.getOwnPropertyDescriptors(instance)).map(({ value }): unknown => value);
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
