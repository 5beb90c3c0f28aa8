export { currentLock, NoCurrentLockError } from './current-lock.js';
export { LockNameError, type LockNameOf } from './lock-name.js';
export type { LockSource, MethodLock, MethodLockOptions } from './lock-source.js';
export { WithLockMisusedError } from './locked-call.js';
export { LocksModule, type LocksModuleAsyncOptions, type LocksModuleOptions } from './locks.module.js';
export { WithLock, type LockedMethodDecorator } from './with-lock.decorator.js';
