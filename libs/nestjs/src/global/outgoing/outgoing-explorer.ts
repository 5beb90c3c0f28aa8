import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import { joinAxios, joinFetch, type AxiosLike, type GlobalTransactions } from '@concordat/participant';
import { clientProxyOf, joinClientProxy } from './client-proxy.js';

/**
 * Lets the application's calls join, without a change of its code: `fetch`, every `HttpService` of Nest's HttpModule, and
 * every client of Nest's microservices that is a provider.
 */
export class OutgoingExplorer implements OnModuleInit, OnApplicationShutdown {
  private readonly undo: (() => void)[] = [];

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly transactions: GlobalTransactions,
  ) {}

  onModuleInit(): void {
    this.undo.push(joinFetch(this.transactions));
    const instances = new Set(this.discovery.getProviders().map(({ instance }): unknown => instance));
    for (const instance of instances) {
      const axios = lookInto(() => axiosOf(instance));
      if (axios) this.undo.push(joinAxios(axios, this.transactions));
      const client = lookInto(() => clientProxyOf(instance));
      if (client) this.undo.push(joinClientProxy(client, this.transactions));
    }
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

/** The axios instance of an `HttpService`. */
function axiosOf(instance: unknown): AxiosLike | undefined {
  if (typeof instance !== 'object' || instance === null || !('axiosRef' in instance)) return undefined;
  const { axiosRef } = instance;
  return typeof axiosRef === 'function' && 'interceptors' in axiosRef ? (axiosRef as unknown as AxiosLike) : undefined;
}
