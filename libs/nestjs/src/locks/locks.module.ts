import {
  Inject,
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import { ConcordatClient } from '@concordat/client';
import { GLOBAL_TRANSACTION } from '../global/metadata.js';
import {
  classOf,
  instancesOf,
  isHandler,
  isMadeAnew,
  prototypeOf,
  remake,
  watchFactory,
  type Wrapper,
} from '../nest-instances.js';
import type { LockSource } from './lock-source.js';
import { setSource, WithLockMisusedError } from './locked-call.js';
import { WITH_LOCK } from './with-lock.decorator.js';

const OPTIONS = Symbol('OPTIONS');
const LOCK_SOURCE = Symbol('LOCK_SOURCE');

export interface LocksModuleOptions {
  /** a `ConcordatClient` of `@concordat/client`; default: that of `ConcordatModule` */
  readonly client?: LockSource;
}

/** What `LocksModule.forRootAsync` takes: a factory of the options, as for any provider of Nest. */
export interface LocksModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  /** what the factory gets, such as `[ConfigService]` */
  readonly inject?: FactoryProvider['inject'];
  readonly useFactory: FactoryProvider<LocksModuleOptions>['useFactory'];
}

/**
 * Gives the methods with `@WithLock` their locks. Import it once, at the root: `LocksModule.forRoot()` beside
 * `ConcordatModule`, `LocksModule.forRoot({ client })` in an application that only uses locks.
 */
@Module({})
export class LocksModule implements OnModuleInit {
  /** @throws WithLockMisusedError for an option that does not exist */
  static forRoot(options: LocksModuleOptions = {}): DynamicModule {
    return moduleWith([{ provide: OPTIONS, useValue: checked(options) }]);
  }

  static forRootAsync({ imports = [], inject = [], useFactory }: LocksModuleAsyncOptions): DynamicModule {
    const make = async (...dependencies: unknown[]): Promise<LocksModuleOptions> =>
      checked(await useFactory(...dependencies));
    return moduleWith([{ provide: OPTIONS, inject: [...inject], useFactory: make }], imports);
  }

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(LOCK_SOURCE) private readonly source: LockSource,
  ) {}

  /** @throws WithLockMisusedError for a handler of a controller that begins a transaction around its lock */
  onModuleInit(): void {
    const controllers = this.discovery.getControllers();
    for (const wrapper of controllers) this.refuseTransactions(wrapper);
    for (const wrapper of [...this.discovery.getProviders(), ...controllers]) {
      if (wrapper.isAlias) continue;
      for (const instance of instancesOf(wrapper)) this.adopt(instance);
      if (isMadeAnew(wrapper)) this.subclass(wrapper);
    }
  }

  private adopt(instance: unknown): void {
    const prototype = prototypeOf(instance);
    if (prototype && this.lockedMethods(prototype).length > 0) setSource(instance as object, this.source);
  }

  /** What is made for each request or consumer gets its locks here, too. */
  private subclass(wrapper: Wrapper): void {
    if (wrapper.isFactory) return watchFactory(wrapper, (instance) => this.adopt(instance));
    const metatype = classOf(wrapper);
    if (!metatype || this.lockedMethods(metatype.prototype as object).length === 0) return;
    const { source } = this;
    const locking = class extends metatype {
      constructor(...parameters: never[]) {
        super(...parameters);
        setSource(this, source);
      }
    };
    remake(wrapper, locking);
  }

  private lockedMethods(prototype: object): readonly object[] {
    return this.scanner
      .getAllMethodNames(prototype)
      .map((name): unknown => Reflect.get(prototype, name))
      .filter((method): method is object => typeof method === 'function')
      .filter((method) => Reflect.hasMetadata(WITH_LOCK, method));
  }

  /** The transaction of a handler is around its arguments, and the lock is named by them. */
  private refuseTransactions(wrapper: Wrapper): void {
    const prototype = classOf(wrapper)?.prototype as object | undefined;
    const handlers = prototype ? this.lockedMethods(prototype).filter(isHandler) : [];
    const both = handlers.find((it) => Reflect.hasMetadata(GLOBAL_TRANSACTION, it));
    if (!both) return;
    throw new WithLockMisusedError(
      `${wrapper.name}.${(both as { readonly name: string }).name} is a handler of a controller and has @WithLock and @GlobalTransaction(), so the lock ` +
        'would be given back before the transaction commits; move both to a method of a provider, which the handler calls',
    );
  }
}

/** @throws WithLockMisusedError */
function checked(options: LocksModuleOptions): LocksModuleOptions {
  const unknown = Object.keys(options).find((name) => name !== 'client');
  if (unknown === undefined) return options;
  throw new WithLockMisusedError(`LocksModule: there is no option "${unknown}"; use client`);
}

function moduleWith(options: Provider[], imports: NonNullable<ModuleMetadata['imports']> = []): DynamicModule {
  const source: Provider = {
    provide: LOCK_SOURCE,
    inject: [OPTIONS, { token: ConcordatClient, optional: true }],
    useFactory: sourceOf,
  };
  return { module: LocksModule, imports: [DiscoveryModule, ...imports], providers: [...options, source] };
}

function sourceOf({ client }: LocksModuleOptions, ofConcordatModule: LockSource | undefined): LockSource {
  const source = client ?? ofConcordatModule;
  if (source) return source;
  throw new WithLockMisusedError(
    'LocksModule has no client, and there is no ConcordatModule whose client it could use; import ConcordatModule, or ' +
      "give LocksModule.forRoot({ client: new ConcordatClient({ coordinators: ['http://127.0.0.1:8081'] }) })",
  );
}
