import { oncePerProcess } from '@concordat/foundation';

/** Loading a second copy of this package fails, with a sentence that names both. */
oncePerProcess({ name: '@concordat/nestjs', location: import.meta.url }, () => ({}));
