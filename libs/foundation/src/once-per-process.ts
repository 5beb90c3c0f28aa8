import { codedError } from './coded-error.js';
import { VERSION } from './version.js';

/** A package was loaded from two places. Each copy would know half of the transactions of this process. */
export class DuplicatePackageError extends codedError('DUPLICATE_PACKAGE') {}

/** What the first copy of a package leaves for the others. Versions to come read it: fields may be added only. */
interface FirstCopy {
  readonly version: string;
  /** URL of the module that made it */
  readonly location: string;
  readonly state: unknown;
}

export interface PackageCopy {
  /** such as `@concordat/nestjs` */
  readonly name: string;
  /** `import.meta.url` of the module that calls */
  readonly location: string;
  /** default: that of this package, because all have the same */
  readonly version?: string;
}

/**
 * The state of a package that must exist once in a process, such as the storage of the current transaction. It lives
 * under `globalThis[Symbol.for(name)]`, so a second copy of the package sees the first one and says so, where it would
 * silently work without a transaction. A module that a test runner loads again gets the state that is there.
 *
 * A package calls this from one module, while it is loaded.
 *
 * @throws DuplicatePackageError when another copy of the package, of whatever version, was loaded before
 */
export function oncePerProcess<State>({ name, location, version = VERSION }: PackageCopy, create: () => State): State {
  const slots = globalThis as unknown as Record<symbol, FirstCopy | undefined>;
  const key = Symbol.for(name);
  const own = withoutQuery(location);
  const first = slots[key];
  if (first === undefined) {
    const state = create();
    slots[key] = { version, location: own, state };
    return state;
  }
  if (first.location === own && first.version === version) return first.state as State;
  throw new DuplicatePackageError(
    `Two copies of ${name} are loaded in this process: version ${first.version} from ${first.location} and version ${version} from ${own}. ` +
      `A transaction of one would be invisible to the other. Keep one of them: "npm ls ${name}" shows who depends on which.`,
    { details: { name, versions: [first.version, version], locations: [first.location, own] } },
  );
}

/** Loaders add queries to tell one loading of a file from the next. */
function withoutQuery(location: string): string {
  return location.replace(/[?#].*$/, '');
}
