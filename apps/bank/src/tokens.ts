/** Injects the process's `Config`. */
export const CONFIG = Symbol('CONFIG');
/** Injects the `ArmableFailpoints` of the process; only there when they are switched on. */
export const FAILPOINTS = Symbol('FAILPOINTS');
