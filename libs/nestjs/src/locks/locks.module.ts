import { Inject, Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { LockSource } from './lock-source.js';
import { setSource, WithLockMisusedError } from './locked-call.js';
import { WITH_LOCK } from './with-lock.decorator.js';

const LOCK_SOURCE = Symbol('LOCK_SOURCE');

export interface LocksModuleOptions {
  /** a `ConcordatClient` of `@concordat/client` */
  readonly client: LockSource;
}

/** Gives the methods with `@WithLock` their locks. Import it once, at the root. */
@Module({})
export class LocksModule implements OnModuleInit {
  static forRoot({ client }: LocksModuleOptions): DynamicModule {
    return {
      module: LocksModule,
      imports: [DiscoveryModule],
      providers: [{ provide: LOCK_SOURCE, useValue: client }],
    };
  }

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(LOCK_SOURCE) private readonly source: LockSource,
  ) {}

  /** @throws WithLockMisusedError for a class that is made anew for each request */
  onModuleInit(): void {
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const prototype: unknown = wrapper.metatype?.prototype;
      if (typeof prototype !== 'object' || prototype === null) continue;
      const method = this.scanner.getAllMethodNames(prototype).find((name) => isLocked(prototype, name));
      if (method === undefined) continue;
      const instance: unknown = wrapper.instance;
      if (!wrapper.isDependencyTreeStatic() || typeof instance !== 'object' || instance === null) {
        throw new WithLockMisusedError(
          `@WithLock on ${wrapper.name}.${method} is in a class that is made anew for each request; ` +
            'move the method to a singleton provider',
        );
      }
      setSource(instance, this.source);
    }
  }
}

function isLocked(prototype: object, method: string): boolean {
  const candidate: unknown = Reflect.get(prototype, method);
  return typeof candidate === 'function' && Reflect.hasMetadata(WITH_LOCK, candidate);
}
