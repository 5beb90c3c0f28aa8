import { oncePerProcess, VERSION } from '@concordat/foundation';

/** The copy of this package that the process uses. Loading a second one fails, with a sentence that names both. */
export const NESTJS_PACKAGE: { readonly version: string } = oncePerProcess(
  { name: '@concordat/nestjs', location: import.meta.url },
  () => ({ version: VERSION }),
);
