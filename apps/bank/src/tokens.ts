export const CONFIG = Symbol('CONFIG');
/** Injects the `ArmableFailpoints` of the process; exists only when they are switched on. */
export const FAILPOINTS = Symbol('FAILPOINTS');
