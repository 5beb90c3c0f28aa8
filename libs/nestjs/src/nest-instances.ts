import { PATH_METADATA } from '@nestjs/common/constants.js';
import type { DiscoveryService } from '@nestjs/core';
import { PATTERN_METADATA } from './nest-messages.js';

/** A provider or a controller, as Nest knows it. */
export type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];
export type Class = new (...parameters: never[]) => object;
type Factory = (...parameters: never[]) => unknown;

/** Whether Nest calls this method of a controller when something arrives, with its interceptors around. */
export function isHandler(method: object): boolean {
  return [PATH_METADATA, PATTERN_METADATA].some((key) => Reflect.hasMetadata(key, method));
}

/** Those that exist already. */
export function instancesOf(wrapper: Wrapper): readonly unknown[] {
  if (wrapper.isTransient) return wrapper.getStaticTransientInstances().map((host) => host?.instance as unknown);
  return wrapper.isDependencyTreeStatic() ? [wrapper.instance as unknown] : [];
}

/** Whether Nest makes instances for each request or consumer. */
export function isMadeAnew(wrapper: Wrapper): boolean {
  return wrapper.isTransient || !wrapper.isDependencyTreeStatic();
}

/** What Nest makes instances from: the class of the user, or one that `remake` has put in its place. */
export function classOf({ metatype, isFactory }: Wrapper): Class | undefined {
  if (typeof metatype !== 'function' || isFactory) return undefined;
  const made = metatype as { readonly prototype?: unknown };
  return typeof made.prototype === 'object' ? (metatype as Class) : undefined;
}

/**
 * Instances that Nest makes from now on come from this subclass, in this application only: another application in the
 * process has wrappers of its own. It passes for the class: by name, `constructor` and `instanceof`.
 */
export function remake(wrapper: Wrapper, subclass: Class): void {
  const original = Object.getPrototypeOf(subclass) as Class;
  const constructor: unknown = Reflect.get(original.prototype as object, 'constructor');
  Object.defineProperty(subclass, 'name', { value: original.name, configurable: true });
  Object.defineProperty(subclass.prototype, 'constructor', { value: constructor, configurable: true, writable: true });
  Object.assign(wrapper, { metatype: subclass });
}

/** What a provider's factory makes from now on is handed to `adopt` first. */
export function watchFactory(wrapper: Wrapper, adopt: (instance: unknown) => void): void {
  const make = wrapper.metatype as unknown as Factory;
  const watched = async (...parameters: never[]): Promise<unknown> => {
    const instance = await make(...parameters);
    adopt(instance);
    return instance;
  };
  Object.assign(wrapper, { metatype: watched });
}

/**
 * The prototype of an instance of a class. Providers of nestjs-cls stand for values of a request, and throw when somebody
 * looks into them outside of one.
 */
export function prototypeOf(instance: unknown): object | undefined {
  if (typeof instance !== 'object' || instance === null) return undefined;
  try {
    const prototype = Object.getPrototypeOf(instance) as object | null;
    return prototype === null || prototype === Object.prototype ? undefined : prototype;
  } catch {
    return undefined;
  }
}
