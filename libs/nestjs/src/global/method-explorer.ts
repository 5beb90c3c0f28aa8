import type { OnModuleInit } from '@nestjs/common';
import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import {
  GlobalConfigurationError,
  type GlobalTransactionOptions,
  type GlobalTransactions,
} from '@concordat/participant';
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
import { TRANSPORT_METADATA } from '../nest-messages.js';
import { CONCORDAT_TRANSPORT } from '../transaction-operation.decorator.js';
import { noModuleSentence, tokensOf } from './connection.js';
import { GLOBAL_TRANSACTION, JOIN_GLOBAL_TRANSACTION, connectionNameOf } from './metadata.js';
import { wrapMethod } from './wrapped-method.js';

/** A method of one prototype that belongs to this module. */
interface Marked {
  readonly name: string;
  readonly options: GlobalTransactionOptions;
}

/** by prototype */
type Marks = WeakMap<object, readonly Marked[]>;

/**
 * Gives the methods of providers that have `@GlobalTransaction()` their transaction, in this application only: another
 * application in the process has instances of its own. What Nest makes anew for each request or consumer is made from a
 * subclass of the user's class, which this application alone has. Handlers of controllers have an interceptor instead;
 * their other methods are as those of providers.
 */
export class MethodExplorer implements OnModuleInit {
  private readonly ofProviders: Marks = new WeakMap();
  private readonly ofControllers: Marks = new WeakMap();
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
    const controllers = this.discovery.getControllers();
    this.refuseWrongNames([...providers, ...controllers]);
    for (const wrapper of providers) this.explore(wrapper, this.ofProviders);
    for (const wrapper of controllers) this.explore(wrapper, this.ofControllers);
  }

  private explore(wrapper: Wrapper, known: Marks): void {
    if (wrapper.isAlias) return;
    for (const instance of instancesOf(wrapper)) this.adopt(instance, known);
    if (isMadeAnew(wrapper)) this.subclass(wrapper, known);
  }

  /** Wraps the methods of one instance. */
  private adopt(instance: unknown, known: Marks): void {
    const prototype = prototypeOf(instance);
    if (!prototype || this.done.has(instance as object)) return;
    const methods = this.markedOf(prototype, known);
    if (methods.length === 0) return;
    this.done.add(instance as object);
    for (const { name, options } of methods) wrapMethod(instance as object, name, this.transactions, options);
  }

  /** What is made from now on has wrapped methods. */
  private subclass(wrapper: Wrapper, known: Marks): void {
    if (wrapper.isFactory) return watchFactory(wrapper, (instance) => this.adopt(instance, known));
    const metatype = classOf(wrapper);
    const methods = metatype ? this.markedOf(metatype.prototype as object, known) : [];
    if (!metatype || methods.length === 0) return;
    const joining = class extends metatype {};
    for (const { name, options } of methods) wrapMethod(joining.prototype, name, this.transactions, options);
    remake(wrapper, joining);
  }

  /** Handlers of controllers are left to their interceptors. */
  private markedOf(prototype: object, known: Marks): readonly Marked[] {
    const before = known.get(prototype);
    if (before) return before;
    const found: Marked[] = [];
    for (const name of this.scanner.getAllMethodNames(prototype)) {
      const method: unknown = Reflect.get(prototype, name);
      if (typeof method !== 'function' || connectionNameOf(method) !== this.connectionName) continue;
      if (known === this.ofControllers && isHandler(method)) continue;
      this.refuseJoining(method, prototype, name);
      const options = Reflect.getMetadata(GLOBAL_TRANSACTION, method) as GlobalTransactionOptions | undefined;
      if (options) found.push({ name, options });
    }
    known.set(prototype, found);
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
