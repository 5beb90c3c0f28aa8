import { Inject, Injectable, Scope, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { isObservable, type Observable } from 'rxjs';
import {
  GlobalConfigurationError,
  GlobalTransactions,
  runGenerator,
  type GlobalTransactionOptions,
} from '@concordat/participant';
import { GLOBAL_TRANSACTION, JOIN_GLOBAL_TRANSACTION } from './metadata.js';
import { runObservable } from './observables.js';

type Method = (this: unknown, ...parameters: unknown[]) => unknown;
type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/**
 * Gives the methods of providers that have `@GlobalTransaction()` their transaction, on the instances of this
 * application only: another application in the process has instances of its own. Handlers of controllers have an
 * interceptor instead.
 */
@Injectable()
export class MethodExplorer implements OnModuleInit {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(GlobalTransactions) private readonly transactions: GlobalTransactions,
  ) {}

  /** @throws GlobalConfigurationError for a method that cannot be wrapped */
  onModuleInit(): void {
    const seen = new Set<object>();
    for (const wrapper of this.discovery.getProviders()) {
      const prototype = prototypeOf(wrapper);
      if (!prototype) continue;
      for (const name of this.scanner.getAllMethodNames(prototype)) {
        const method: unknown = Reflect.get(prototype, name);
        if (typeof method !== 'function') continue;
        this.refuseJoining(method, prototype, name);
        const options = Reflect.getMetadata(GLOBAL_TRANSACTION, method) as GlobalTransactionOptions | undefined;
        if (!options) continue;
        const instance = this.instanceOf(wrapper, prototype, name);
        if (!seen.has(instance)) this.wrap(instance, name, method as Method, options);
      }
      if (typeof wrapper.instance === 'object' && wrapper.instance !== null) seen.add(wrapper.instance as object);
    }
  }

  private refuseJoining(method: object, prototype: object, name: string): void {
    if (!Reflect.hasMetadata(JOIN_GLOBAL_TRANSACTION, method)) return;
    throw new GlobalConfigurationError(
      `${prototype.constructor.name}.${name} has @JoinGlobalTransaction() and is no handler of a controller, so no call ` +
        'can bring it a transaction; use @GlobalTransaction({ propagation: … })',
    );
  }

  private instanceOf(wrapper: Wrapper, prototype: object, name: string): object {
    if (wrapper.scope === undefined || wrapper.scope === Scope.DEFAULT) {
      if (wrapper.isDependencyTreeStatic()) return wrapper.instance as object;
    }
    throw new GlobalConfigurationError(
      `${prototype.constructor.name}.${name} has @GlobalTransaction(), and ${prototype.constructor.name} is made anew for ` +
        'each request; make it a singleton, or call GlobalTransactions.run in the method',
    );
  }

  private wrap(instance: object, name: string, method: Method, options: GlobalTransactionOptions): void {
    const value = wrapped(this.transactions, instance, name, method, options);
    for (const key of Reflect.getMetadataKeys(method) as unknown[]) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, method), value);
    }
    Object.defineProperty(instance, name, { value, configurable: true, writable: true, enumerable: false });
  }
}

function prototypeOf({ instance, isNotMetatype, metatype }: Wrapper): object | undefined {
  if (isNotMetatype || typeof metatype !== 'function') return undefined;
  const { prototype } = metatype as { prototype?: object };
  if (typeof instance !== 'object' || instance === null) return prototype;
  return (Object.getPrototypeOf(instance) as object | null) ?? undefined;
}

const AsyncGeneratorFunction = Object.getPrototypeOf(async function* () {}).constructor as new () => object;

function wrapped(
  transactions: GlobalTransactions,
  instance: object,
  name: string,
  method: Method,
  options: GlobalTransactionOptions,
): Method {
  if (method instanceof AsyncGeneratorFunction) {
    return function (...parameters) {
      const generate = (): AsyncGenerator => method.apply(this, parameters) as AsyncGenerator;
      return runGenerator(transactions, options, generate as () => AsyncGenerator<unknown, void, void>);
    };
  }
  if (returnsObservable(instance, name)) {
    return function (...parameters) {
      return runObservable(transactions, options, () => method.apply(this, parameters) as Observable<unknown>);
    };
  }
  return function (...parameters) {
    return transactions.run(options, async () => {
      const result = await method.apply(this, parameters);
      if (isObservable(result)) {
        throw new GlobalConfigurationError(
          `${instance.constructor.name}.${name} has @GlobalTransaction() and returned an Observable; declare its return ` +
            'type as Observable<…>, so that the transaction can begin with the subscription',
        );
      }
      return result;
    });
  };
}

/** By the declared type, which TypeScript writes down (`emitDecoratorMetadata`). */
function returnsObservable(instance: object, name: string): boolean {
  const type = Reflect.getMetadata('design:returntype', instance, name) as { readonly name?: string } | undefined;
  return type?.name === 'Observable';
}
