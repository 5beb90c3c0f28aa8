/** Undoes the replacement. */
export type Leave = () => void;

/**
 * Puts another method in the place of one of an object, for this object only.
 *
 * @param make gets the method that was there, bound to the object
 * @returns a function that puts it back; if something else has replaced the method since, the replacement stays and
 *   only calls the original
 */
export function replaceMethod<Name extends PropertyKey, Method extends (...input: never[]) => unknown>(
  target: Record<Name, Method>,
  name: Name,
  make: (original: Method) => Method,
): Leave {
  const own = Object.getOwnPropertyDescriptor(target, name);
  const original = target[name].bind(target) as Method;
  const replacement = make(original);
  let isActive = true;
  const installed = ((...input: never[]) => (isActive ? replacement : original)(...input)) as Method;
  target[name] = installed;
  return () => {
    isActive = false;
    if (target[name] !== installed) return;
    if (own) Object.defineProperty(target, name, own);
    else Reflect.deleteProperty(target, name);
  };
}
