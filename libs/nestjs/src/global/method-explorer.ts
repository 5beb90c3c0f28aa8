import type { OnModuleInit } from '@nestjs/common';
import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { TRANSPORT_METADATA } from '@nestjs/microservices/constants.js';
import {
  GlobalConfigurationError,
  type GlobalTransactionOptions,
  type GlobalTransactions,
} from '@concordat/participant';
import { CONCORDAT_TRANSPORT } from '../transaction-operation.decorator.js';
import { noModuleSentence, tokensOf } from './connection.js';
import { GLOBAL_TRANSACTION, JOIN_GLOBAL_TRANSACTION, connectionNameOf } from './metadata.js';
import { wrapMethod } from './wrapped-method.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];
type Class = new (...parameters: never[]) => object;
type Factory = (...parameters: never[]) => unknown;

/** A method of one prototype that belongs to this module. */
interface Marked {
  readonly name: string;
  readonly options: GlobalTransactionOptions;
}

/**
 * Gives the methods of providers that have `@GlobalTransaction()` their transaction, in this application only: another
 * application in the process has instances of its own. What Nest makes anew for each request or consumer is made from a
 * subclass of the user's class, which this application alone has. Handlers of controllers have an interceptor instead.
 */
export class MethodExplorer implements OnModuleInit {
  private readonly marked = new WeakMap<object, readonly Marked[]>();
  private readonly done = new WeakSet<object>();

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly transactions: GlobalTransactions,
    private readonly connectionName: string,
  ) {}

  /** @throws GlobalConfigurationError for a method that cannot be wrapped, or that belongs to no module */
  onModuleInit(): void {
    const providers = this.discovery.getProviders();
    this.refuseWrongNames([...providers, ...this.discovery.getControllers()]);
    for (const wrapper of providers) {
      if (wrapper.isAlias) continue;
      for (const instance of instancesOf(wrapper)) this.adopt(instance);
      if (isMadeAnew(wrapper)) this.subclass(wrapper);
    }
  }

  /** Wraps the methods of one instance. */
  private adopt(instance: unknown): void {
    if (typeof instance !== 'object' || instance === null || this.done.has(instance)) return;
    const prototype = prototypeOf(instance);
    const methods = prototype ? this.markedOf(prototype) : [];
    if (methods.length === 0) return;
    this.done.add(instance);
    for (const { name, options } of methods) wrapMethod(instance, name, this.transactions, options);
  }

  /** What is made from now on has wrapped methods. */
  private subclass(wrapper: Wrapper): void {
    const { metatype } = wrapper;
    if (typeof metatype !== 'function') return;
    if (wrapper.isFactory) {
      const make = metatype as unknown as Factory;
      const adopting = async (...parameters: never[]): Promise<unknown> => {
        const instance = await make(...parameters);
        this.adopt(instance);
        return instance;
      };
      Object.assign(wrapper, { metatype: adopting });
      return;
    }
    const { prototype } = metatype as { prototype?: object };
    const methods = prototype ? this.markedOf(prototype) : [];
    if (methods.length === 0) return;
    const joining = class extends (metatype as Class) {};
    Object.defineProperty(joining, 'name', { value: metatype.name, configurable: true });
    Object.defineProperty(joining.prototype, 'constructor', { value: metatype, configurable: true, writable: true });
    for (const { name, options } of methods) wrapMethod(joining.prototype, name, this.transactions, options);
    Object.assign(wrapper, { metatype: joining });
  }

  private markedOf(prototype: object): readonly Marked[] {
    const known = this.marked.get(prototype);
    if (known) return known;
    const found: Marked[] = [];
    for (const name of this.scanner.getAllMethodNames(prototype)) {
      const method: unknown = Reflect.get(prototype, name);
      if (typeof method !== 'function' || connectionNameOf(method) !== this.connectionName) continue;
      this.refuseJoining(method, prototype, name);
      const options = Reflect.getMetadata(GLOBAL_TRANSACTION, method) as GlobalTransactionOptions | undefined;
      if (options) found.push({ name, options });
    }
    this.marked.set(prototype, found);
    return found;
  }

  private refuseJoining(method: object, prototype: object, name: string): void {
    if (!Reflect.hasMetadata(JOIN_GLOBAL_TRANSACTION, method)) return;
    throw new GlobalConfigurationError(
      `${prototype.constructor.name}.${name} has @JoinGlobalTransaction() and is no handler of a controller, so no call ` +
        'can bring it a transaction; use @GlobalTransaction({ propagation: … })',
    );
  }

  /** A method of a module that is not there would silently work without a transaction. */
  private refuseWrongNames(wrappers: readonly Wrapper[]): void {
    const modules = wrappers.filter(
      ({ token, isAlias }) => !isAlias && token === tokensOf(this.connectionName).transactions,
    );
    if (modules.length > 1) {
      throw new GlobalConfigurationError(
        `${modules.length} ConcordatModules have the connectionName "${this.connectionName}"; import one of them once, ` +
          'in the root module, and give each further one a connectionName of its own',
      );
    }
    for (const { metatype } of wrappers) {
      const { prototype } = (metatype ?? {}) as { prototype?: object };
      if (typeof metatype !== 'function' || !prototype) continue;
      for (const name of this.scanner.getAllMethodNames(prototype)) this.refuseUnknown(prototype, name, wrappers);
    }
  }

  private refuseUnknown(prototype: object, name: string, wrappers: readonly Wrapper[]): void {
    const method: unknown = Reflect.get(prototype, name);
    if (typeof method !== 'function') return;
    const isOperation = Reflect.getMetadata(TRANSPORT_METADATA, method) === CONCORDAT_TRANSPORT;
    const isMarked = [GLOBAL_TRANSACTION, JOIN_GLOBAL_TRANSACTION].some((key) => Reflect.hasMetadata(key, method));
    if (!isOperation && !isMarked) return;
    const connectionName = connectionNameOf(method);
    const { transactions, transport } = tokensOf(connectionName);
    if (wrappers.some(({ token }) => token === (isMarked ? transactions : transport))) return;
    throw new GlobalConfigurationError(`${prototype.constructor.name}.${name}: ${noModuleSentence(connectionName)}`);
  }
}

/** Those that exist already. */
function instancesOf(wrapper: Wrapper): readonly unknown[] {
  if (wrapper.isTransient) return wrapper.getStaticTransientInstances().map((host) => host?.instance as unknown);
  return wrapper.isDependencyTreeStatic() ? [wrapper.instance as unknown] : [];
}

function isMadeAnew(wrapper: Wrapper): boolean {
  return wrapper.isTransient || !wrapper.isDependencyTreeStatic();
}

/** Providers of nestjs-cls stand for values of a request, and throw when somebody looks into them outside of one. */
function prototypeOf(instance: object): object | undefined {
  try {
    const prototype = Object.getPrototypeOf(instance) as object | null;
    return prototype === null || prototype === Object.prototype ? undefined : prototype;
  } catch {
    return undefined;
  }
}
